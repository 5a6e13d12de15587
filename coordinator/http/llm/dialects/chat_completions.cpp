#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm {
namespace {

class ChatWriter final : public openai::ChoicesWriter {
 public:
  ChatWriter(const Question& question, const openai::Options& options)
      : ChoicesWriter({"chatcmpl-", "chat.completion", "chat.completion.chunk", "delta"}, question, options) {}

  std::string begin() override { return piece({{"role", "assistant"}, {"content", ""}}); }
  std::string text(const std::string& text, bool reasoning) override { return piece({{member_of(reasoning), text}}); }
  [[nodiscard]] std::string text_of(const Json& output, bool reasoning) const override {
    return text_member(member(openai::choice_of(output), "message"), member_of(reasoning));
  }

 private:
  static const char* member_of(bool reasoning) { return reasoning ? "reasoning_content" : "content"; }

  [[nodiscard]] std::string end_choice(const Json& choice) const override {
    std::string events;
    const Json& message = member(choice, "message");
    if (const Json& calls = member(message, "tool_calls"); calls.is_array()) events += tool_calls(calls);
    return events + piece(Json::object(), member(choice, "finish_reason"));
  }

  [[nodiscard]] std::string tool_calls(const Json& calls) const {
    Json indexed = Json::array();
    for (Json call : calls) {
      if (!call.is_object()) continue;
      call["index"] = indexed.size();
      indexed.push_back(std::move(call));
    }
    return piece({{"tool_calls", indexed}});
  }
};

}  // namespace

const Dialect chat_completions{[](const std::string& body) { return openai::read<ChatWriter>(body, "llm.chat"); },
                               openai_reply, openai::event_stream};

}  // namespace edgefleet::coordinator::llm
