#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr const char* object = "text_completion";  // of the whole and of its pieces

class CompletionWriter final : public AnswerWriter {
 public:
  CompletionWriter(const Question& question, const openai::Options& options)
      : envelope_("cmpl-", question.model), include_usage_(options.include_usage) {}

  void identify(const TaskId& task, WallTime now) override { envelope_.identify(task, now); }

  std::string whole(const TaskRecord& record) override {
    Json answer = envelope_.around(object);
    answer["choices"] = member(Json::parse(record.output, nullptr, false), "choices");
    if (auto usage = openai::usage_of(record); usage.is_object()) answer["usage"] = std::move(usage);
    return dump(answer);
  }

  std::string begin() override { return {}; }
  std::string text(const std::string& text, bool reasoning) override {
    return piece(reasoning ? std::string() : text, nullptr);
  }
  std::string end(const TaskRecord& record, const Json& output) override {
    std::string events = piece({}, member(openai::choice_of(output), "finish_reason"));
    if (include_usage_) {
      Json last = envelope_.around(object);
      last["choices"] = Json::array();
      last["usage"] = openai::usage_of(record);
      events += openai::event(last);
    }
    return events + openai::done;
  }
  std::string failure(const Failure& failure) override { return "data: " + openai_view(failure) + "\n\n"; }
  std::string comment(const std::string& text) override { return openai::comment(text); }

  [[nodiscard]] std::string text_of(const Json& output, bool reasoning) const override {
    const Json& text = member(openai::choice_of(output), reasoning ? "reasoning" : "text");
    return text.is_string() ? text.get<std::string>() : std::string();
  }

 private:
  [[nodiscard]] std::string piece(const std::string& text, const Json& finish_reason) const {
    Json chunk = envelope_.around(object);
    chunk["choices"] = Json::array({{{"index", 0}, {"text", text}, {"finish_reason", finish_reason}}});
    return openai::event(chunk);
  }

  openai::Envelope envelope_;
  bool include_usage_;
};

Result<Asked> read(const std::string& body) {
  openai::Options options;
  auto question = openai::read(body, "llm.generate", options);
  if (!question) return question.error();
  auto writer = std::make_unique<CompletionWriter>(*question, options);
  return Asked{std::move(*question), std::move(writer)};
}

}  // namespace

const Dialect completions{read, openai_reply, openai::event_stream};

}  // namespace edgefleet::coordinator::llm
