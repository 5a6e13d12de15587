#include <array>

#include "coordinator/http/llm/dialects/choices_writer.hpp"
#include "coordinator/http/llm/dialects/legacy_functions.hpp"
#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr std::array fields = {
    RequestField{"model", FieldUse::mapped, "an alias: its models, one after another"},
    RequestField{"messages", FieldUse::mapped, "the role `function` and `function_call`: `tool` and `tool_calls`"},
    RequestField{"functions", FieldUse::mapped, "`tools`; the answer then has `function_call`"},
    RequestField{"function_call", FieldUse::mapped, "`tool_choice`"},
    RequestField{"seed", FieldUse::mapped, "one more for each further choice"},
    RequestField{"n", FieldUse::endpoint, "1 to 8: as many tasks, answered as one"},
    RequestField{"stream", FieldUse::endpoint, ""},
    RequestField{"stream_options", FieldUse::endpoint, "`include_usage`"},
};

class ChatWriter final : public openai::ChoicesWriter {
 public:
  explicit ChatWriter(const openai::Reading& reading)
      : ChoicesWriter({"chatcmpl-", "chat.completion", "chat.completion.chunk", "delta"}, reading),
        functions_(reading.fields.find("functions").has_value()) {}

  std::string text(std::size_t part, const std::string& text, bool reasoning) override {
    return piece(part, R"({")" + std::string(member_of(reasoning)) + R"(":)" + json::quoted(text) + "}");
  }
  [[nodiscard]] std::string text_of(const JsonText& output, bool reasoning) const override {
    const auto choice = openai::choice_of(output);
    const auto message = choice ? json::Object::read(choice->find("message").value_or("null")) : std::nullopt;
    const auto text = message ? message->find(member_of(reasoning)) : std::nullopt;
    return json::as_string(text.value_or("")).value_or("");
  }

 private:
  static const char* member_of(bool reasoning) { return reasoning ? "reasoning_content" : "content"; }

  [[nodiscard]] std::string begin_part(std::size_t part) const override {
    return piece(part, R"({"role":"assistant","content":""})");
  }

  [[nodiscard]] JsonText shown(const json::Object& choice) const override {
    return functions_ ? openai::with_function_call(choice) : json::without(choice, {});
  }

  // What is neither text nor known is passed on with the end.
  [[nodiscard]] std::string end_choice(std::size_t part, const json::Object& choice) const override {
    const auto message = json::Object::read(choice.find("message").value_or("null")).value_or(json::Object{});
    JsonText delta;
    {
      json::ObjectWriter writer(delta);
      for (const auto& [name, value] :
           openai::others(message, {"role", "content", "reasoning_content", "tool_calls"})) {
        writer.raw(name, value);
      }
    }
    auto finish_reason = choice.find("finish_reason").value_or("null");
    const auto calls = json::elements(message.find("tool_calls").value_or("null"));
    if (functions_ && finish_reason == R"("tool_calls")") finish_reason = R"("function_call")";
    return (calls ? tool_calls(part, *calls) : "") +
           piece(part, delta, JsonText(finish_reason),
                 openai::others(choice, {"index", "message", "delta", "finish_reason"}));
  }

  [[nodiscard]] std::string tool_calls(std::size_t part, const std::vector<std::string_view>& calls) const {
    if (functions_) return function_call(part, calls);
    JsonText delta = R"({"tool_calls":)";
    std::size_t index = 0;
    {
      json::ArrayWriter indexed(delta);
      for (const std::string_view call : calls) {
        const auto object = json::Object::read(call);
        if (object) indexed.next() += json::with(*object, "index", std::to_string(index++));
      }
    }
    return piece(part, delta + "}");
  }

  [[nodiscard]] std::string function_call(std::size_t part, const std::vector<std::string_view>& calls) const {
    if (calls.empty()) return {};
    return piece(part, R"({"function_call":)" + openai::function_of("[" + std::string(calls.front()) + "]") + "}");
  }

  bool functions_;  // the client asked with `functions`
};

Result<Asked> read(const std::string& body) {
  auto reading = openai::read(body, "llm.chat", fields);
  if (!reading) return reading.error();
  auto input = openai::with_tools(reading->question.input);
  if (!input) return input.error();
  if (!json::part_is_shallow(*input))
    return invalid("the request is nested too deeply: `functions` as `tools` have a level more");
  reading->question.input = std::move(*input);
  if (auto good = openai::multiply(*reading); !good) return good.error();
  auto writer = std::make_unique<ChatWriter>(*reading);
  return Asked{std::move(reading->question), std::move(writer)};
}

}  // namespace

const Dialect chat_completions{"/chat/completions", fields, read, openai_reply, openai::event_stream};

}  // namespace edgefleet::coordinator::llm
