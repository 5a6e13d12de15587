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

  std::string text(std::size_t part, const std::string& text, Channel channel) override {
    return event_of(part, {R"({")" + std::string(member_of(channel)) + R"(":)" + json::quoted(text) + "}"});
  }
  // As OpenAI streams it: first the call with empty arguments, then pieces of them.
  std::string call(std::size_t part, const protocol::CallLine& line) override {
    std::string events;
    if (!line.call.empty()) events += call_piece(part, line.index, line.call);
    if (!line.arguments.empty()) {
      events += call_piece(part, line.index, R"({"function":{"arguments":)" + json::quoted(line.arguments) + "}}");
    }
    return events;
  }
  [[nodiscard]] std::string text_of(const JsonText& output, Channel channel) const override {
    return json::as_string(message_in(output).find(member_of(channel)).value_or("")).value_or("");
  }
  [[nodiscard]] Result<std::vector<protocol::ToolCall>> calls_of(const JsonText& output) const override {
    std::vector<protocol::ToolCall> calls;
    const auto value = message_in(output).find("tool_calls").value_or("null");
    if (value == "null") return calls;
    for (const std::string_view one : json::elements(value).value_or(std::vector<std::string_view>{value})) {
      auto call = protocol::read_tool_call(one);
      if (!call) return Error{"the result has a tool call without a function"};
      calls.push_back(std::move(*call));
    }
    return calls;
  }

 private:
  static const char* member_of(Channel channel) {
    return channel == Channel::reasoning ? "reasoning_content" : "content";
  }

  static json::Object message_in(const JsonText& output) {
    const auto choice = openai::choice_of(output);
    return json::Object::read(choice ? choice->find("message").value_or("null") : "null").value_or(json::Object{});
  }

  [[nodiscard]] std::string call_piece(std::size_t part, std::size_t index, const JsonText& call) const {
    if (functions_) {
      const auto function = index == 0 ? openai::function_of("[" + call + "]") : "null";
      return function == "null" ? "" : event_of(part, {R"({"function_call":)" + function + "}"});
    }
    const auto indexed = json::with(json::Object::read(call).value_or(json::Object{}), "index", std::to_string(index));
    return event_of(part, {R"({"tool_calls":[)" + indexed + "]}"});
  }

  [[nodiscard]] std::string begin_part(std::size_t part) const override {
    return event_of(part, {R"({"role":"assistant","content":""})"});
  }

  [[nodiscard]] JsonText shown(const json::Object& choice) const override {
    return functions_ ? openai::with_function_call(choice) : json::without(choice, {});
  }

  // What is neither text nor known is passed on with the end.
  [[nodiscard]] Piece end_of(const json::Object& choice) const override {
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
    if (functions_ && finish_reason == R"("tool_calls")") finish_reason = R"("function_call")";
    return {delta, JsonText(finish_reason), openai::others(choice, {"index", "message", "delta", "finish_reason"})};
  }

  bool functions_;  // the client asked with `functions`
};

Result<Asked> read(const std::string& body) {
  auto reading = openai::read(body, "llm.chat", fields);
  if (!reading) return reading.error();
  auto input = openai::with_tools(std::move(reading->question.input));
  if (!input) return input.error();
  if (!json::part_is_shallow(*input))
    return invalid("the request is nested too deeply: `functions` as `tools` have a level more");
  reading->question.input = std::move(*input);
  if (auto good = openai::multiply(*reading); !good) return good.error();
  auto writer = std::make_unique<ChatWriter>(*reading);
  return Asked{std::move(reading->question), std::move(writer)};
}

}  // namespace

const Dialect chat_completions{"/chat/completions",
                               fields,
                               read,
                               openai_reply,
                               openai::event_stream,
                               [](std::size_t of_a_task) { return of_a_task; }};

}  // namespace edgefleet::coordinator::llm
