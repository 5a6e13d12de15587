#include "coordinator/http/llm/dialects/legacy_functions.hpp"

#include <algorithm>
#include <map>

namespace edgefleet::coordinator::llm::openai {
namespace {

std::optional<std::string_view> given(const json::Object& object, std::string_view name) {
  const auto value = object.find(name);
  return value == "null" ? std::nullopt : value;
}

JsonText tool(std::string_view function) { return R"({"type":"function","function":)" + JsonText(function) + "}"; }

Result<JsonText> tools_of(std::string_view functions) {
  const auto all = json::elements(functions);
  if (!all) return invalid("`functions` must be a list");
  JsonText text;
  {
    json::ArrayWriter tools(text);
    for (const std::string_view function : *all) tools.next() += tool(function);
  }
  return text;
}

// Messages in the present form. The calls of the first form have no ids, so they get some.
class Messages {
 public:
  // A message of neither form is passed on: the agent checks messages.
  Result<JsonText> translated(std::string_view message) {
    const auto object = json::Object::read(message);
    if (!object) return JsonText(message);
    if (const auto call = given(*object, "function_call")) return calling(*object, *call);
    if (object->find("role") == R"("function")") return answering(*object);
    return JsonText(message);
  }
  [[nodiscard]] bool changed() const { return !ids_.empty(); }

 private:
  Result<JsonText> calling(const json::Object& message, std::string_view call) {
    const auto function = json::Object::read(call);
    const auto name = function ? json::as_string(function->find("name").value_or("")) : std::nullopt;
    if (!name) return invalid("the `function_call` of a message must be an object with a `name`");
    const std::string id = "call_function_" + std::to_string(++calls_);
    ids_[*name] = id;
    const JsonText calls = R"([{"id":")" + id + R"(","type":"function","function":)" + JsonText(call) + "}]";
    const JsonText rest = json::without(message, {"function_call"});
    return json::with(json::Object::read(rest).value_or(json::Object{}), "tool_calls", calls);
  }

  Result<JsonText> answering(const json::Object& message) {
    const auto name = json::as_string(message.find("name").value_or(""));
    const auto id = name ? ids_.find(*name) : ids_.end();
    if (id == ids_.end()) return invalid("a message of the role function answers no earlier `function_call`");
    const JsonText as_tool = json::with(message, "role", R"("tool")");
    return json::with(json::Object::read(as_tool).value_or(json::Object{}), "tool_call_id", json::quoted(id->second));
  }

  std::map<std::string, std::string> ids_;  // name of a function -> id of its last call
  std::size_t calls_ = 0;
};

Result<JsonText> choice_of(std::string_view function_call) {
  if (function_call.starts_with('"')) return JsonText(function_call);
  if (!json::Object::read(function_call)) return invalid("`function_call` must be a string or an object");
  return tool(function_call);
}

Result<JsonText> messages_of(std::string_view given_messages) {
  const auto all = json::elements(given_messages);
  if (!all) return JsonText(given_messages);
  Messages messages;
  JsonText text;
  {
    json::ArrayWriter writer(text);
    for (const std::string_view message : *all) {
      const auto translated = messages.translated(message);
      if (!translated) return translated.error();
      writer.next() += *translated;
    }
  }
  return messages.changed() ? text : JsonText(given_messages);
}

struct Replacement {
  std::string_view old_name;
  std::string_view new_name;
  Result<JsonText> (*translate)(std::string_view value);
};
constexpr std::array replacements = {Replacement{"functions", "tools", tools_of},
                                     Replacement{"function_call", "tool_choice", choice_of},
                                     Replacement{"messages", "messages", messages_of}};

Result<JsonText> replaced(JsonText input, const Replacement& one) {
  const auto object = json::Object::read(input);
  if (!object || !object->find(one.old_name)) return input;
  const auto value = given(*object, one.old_name);
  const bool renamed = one.old_name != one.new_name;
  if (!value) return renamed ? json::without(*object, {one.old_name}) : input;
  if (renamed && given(*object, one.new_name)) {
    return invalid("`" + std::string(one.old_name) + "` and `" + std::string(one.new_name) + "` exclude each other");
  }
  const auto translated = one.translate(*value);
  if (!translated) return translated.error();
  if (!renamed) return *translated == *value ? input : json::with(*object, one.new_name, *translated);
  const JsonText rest = json::without(*object, {one.old_name});
  return json::with(json::Object::read(rest).value_or(json::Object{}), one.new_name, *translated);
}

}  // namespace

Result<JsonText> with_tools(JsonText input) {
  for (const Replacement& one : replacements) {
    auto made = replaced(std::move(input), one);
    if (!made) return made.error();
    input = std::move(*made);
  }
  return input;
}

JsonText function_of(std::string_view tool_calls) {
  const auto calls = json::elements(tool_calls);
  const auto first = calls && !calls->empty() ? json::Object::read(calls->front()) : std::nullopt;
  return JsonText(first ? first->find("function").value_or("null") : "null");
}

JsonText with_function_call(const json::Object& choice) {
  const auto message = json::Object::read(choice.find("message").value_or("null"));
  const auto calls = message ? given(*message, "tool_calls") : std::nullopt;
  if (!calls) return json::without(choice, {});
  const JsonText rest = json::without(*message, {"tool_calls"});
  const JsonText shown =
      json::with(json::Object::read(rest).value_or(json::Object{}), "function_call", function_of(*calls));
  JsonText with_message = json::with(choice, "message", shown);
  const auto whole = json::Object::read(with_message).value_or(json::Object{});
  if (whole.find("finish_reason") != R"("tool_calls")") return with_message;
  return json::with(whole, "finish_reason", R"("function_call")");
}

}  // namespace edgefleet::coordinator::llm::openai
