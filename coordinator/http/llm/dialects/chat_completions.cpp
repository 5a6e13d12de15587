#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr const char* whole_object = "chat.completion";
constexpr const char* piece_object = "chat.completion.chunk";

class ChatWriter final : public AnswerWriter {
 public:
  ChatWriter(const Question& question, const openai::Options& options)
      : envelope_("chatcmpl-", question.model), include_usage_(options.include_usage) {}

  void identify(const TaskId& task, WallTime now) override { envelope_.identify(task, now); }

  std::string whole(const TaskRecord& record) override {
    Json answer = envelope_.around(whole_object);
    answer["choices"] = member(Json::parse(record.output, nullptr, false), "choices");
    if (auto usage = openai::usage_of(record); usage.is_object()) answer["usage"] = std::move(usage);
    return dump(answer);
  }

  std::string begin() override { return piece({{"role", "assistant"}, {"content", ""}}, nullptr); }
  std::string text(const std::string& text, bool reasoning) override {
    return piece({{reasoning ? "reasoning_content" : "content", text}}, nullptr);
  }
  std::string end(const TaskRecord& record, const Json& output) override {
    const Json& choice = openai::choice_of(output);
    std::string events;
    const Json& message = member(choice, "message");
    if (message.is_object() && message.contains("tool_calls")) events += tool_calls(message["tool_calls"]);
    events += piece(Json::object(), member(choice, "finish_reason"));
    if (include_usage_) {
      Json last = envelope_.around(piece_object);
      last["choices"] = Json::array();
      last["usage"] = openai::usage_of(record);
      events += openai::event(last);
    }
    return events + openai::done;
  }
  std::string failure(const Failure& failure) override { return "data: " + openai_view(failure) + "\n\n"; }
  std::string comment(const std::string& text) override { return openai::comment(text); }

  [[nodiscard]] std::string text_of(const Json& output, bool reasoning) const override {
    const Json& message = member(openai::choice_of(output), "message");
    const Json& text = member(message, reasoning ? "reasoning_content" : "content");
    return text.is_string() ? text.get<std::string>() : std::string();
  }

 private:
  [[nodiscard]] std::string piece(const Json& delta, const Json& finish_reason) const {
    Json chunk = envelope_.around(piece_object);
    chunk["choices"] = Json::array({{{"index", 0}, {"delta", delta}, {"finish_reason", finish_reason}}});
    return openai::event(chunk);
  }

  [[nodiscard]] std::string tool_calls(const Json& calls) const {
    Json indexed = Json::array();
    for (Json call : calls) {
      call["index"] = indexed.size();
      indexed.push_back(std::move(call));
    }
    return piece({{"tool_calls", indexed}}, nullptr);
  }

  openai::Envelope envelope_;
  bool include_usage_;
};

Result<Asked> read(const std::string& body) {
  openai::Options options;
  auto question = openai::read(body, "llm.chat", options);
  if (!question) return question.error();
  auto writer = std::make_unique<ChatWriter>(*question, options);
  return Asked{std::move(*question), std::move(writer)};
}

}  // namespace

const Dialect chat_completions{read, openai_reply, openai::event_stream};

}  // namespace edgefleet::coordinator::llm
