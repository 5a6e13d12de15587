#include "edge-agent/executors/llm/forced_call.hpp"

#include <array>
#include <set>

namespace edgefleet::agent::llm {
namespace {

// Definitions that `$ref` finds from the root of a schema.
constexpr std::array<std::string_view, 2> definitions = {"$defs", "definitions"};

JsonText schema_of_call(const Members& function) {
  JsonText schema = R"({"type":"object","properties":{"name":{"type":"string","enum":[)";
  schema += function.at("name");
  schema += R"(]},"arguments":)";
  schema += is_object(function.at("parameters")) ? function.at("parameters") : R"({"type":"object"})";
  return schema + R"(},"required":["name","arguments"],"additionalProperties":false})";
}

JsonText schema_of_any(const std::vector<Members>& functions) {
  JsonText text;
  {
    json::ObjectWriter schema(text);
    {
      json::ArrayWriter any(schema.key("anyOf"));
      for (const Members& function : functions) any.next() += schema_of_call(function);
    }
    for (const std::string_view name : definitions) {
      std::set<std::string> written;
      JsonText all;
      {
        json::ObjectWriter writer(all);
        for (const Members& function : functions) {
          const Members given = function.object("parameters").object(name);
          for (const auto& [key, value] : given.all().members()) {
            if (written.insert(key).second) writer.raw(key, value);
          }
        }
      }
      if (!written.empty()) schema.raw(name, all);
    }
  }
  return text;
}

// The functions of which one must be called; none: nothing is forced.
Result<std::vector<Members>> forced_functions(const Members& request) {
  std::vector<Members> functions;
  const auto choice = request.at("tool_choice");
  if (choice == "null" || choice == R"("auto")" || choice == R"("none")") return functions;
  const std::string wanted = Members(choice).object("function").text("name");
  if (choice != R"("required")" && wanted.empty()) {
    return invalid("`tool_choice` must be auto, none, required, or a function with its name");
  }
  for (const std::string_view tool : request.list("tools")) {
    auto function = Members(tool).object("function");
    const auto name = function.text("name");
    if (!name.empty() && (wanted.empty() || name == wanted)) functions.push_back(std::move(function));
  }
  if (functions.empty()) return invalid("`tool_choice` names a function that is not in `tools`");
  return functions;
}

}  // namespace

Result<JsonText> schema_of_forced_call(const Members& request) {
  const auto functions = forced_functions(request);
  if (!functions) return functions.error();
  if (functions->empty()) return JsonText();
  if (const auto format = request.object("response_format").text("type"); !format.empty() && format != "text") {
    return unsupported("a forced call by `tool_choice` and a `response_format` exclude each other at ollama");
  }
  return schema_of_any(*functions);
}

std::set<std::string> names_of_forced_call(const Members& request) {
  std::set<std::string> names;
  const auto functions = forced_functions(request);
  if (!functions) return names;
  for (const Members& function : *functions) names.insert(function.text("name"));
  return names;
}

std::optional<JsonText> call_in(std::string_view text, const std::set<std::string>& names) {
  if (!json::well_formed(text)) return std::nullopt;
  const Members call(text.substr(std::min(text.find('{'), text.size())));
  if (!names.contains(call.text("name")) || !is_object(call.at("arguments"))) return std::nullopt;
  JsonText made;
  {
    json::ObjectWriter writer(made);
    json::ObjectWriter function(writer.key("function"));
    function.raw("name", call.at("name"));
    function.raw("arguments", call.at("arguments"));
  }
  return made;
}

}  // namespace edgefleet::agent::llm
