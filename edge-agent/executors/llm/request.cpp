#include "edge-agent/executors/llm/request.hpp"

#include <algorithm>
#include <array>

#include "edge-agent/executors/llm/json_value.hpp"
#include "edge-agent/executors/llm/slices.hpp"

namespace edgefleet::agent::llm {
namespace {

const FieldRule* rule_of(RequestKind kind, std::string_view field) {
  const auto& rules = field_rules(kind);
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const FieldRule& r) { return r.field == field; });
  return found == rules.end() ? nullptr : &*found;
}

// Equivalent to an absent field for a provider that has no such field.
bool asks_for_nothing(const FieldRule* rule, std::string_view value) {
  if (value == "null") return true;
  if (rule == nullptr) return false;
  const Json given = Json::parse(value, nullptr, false);
  // Without `parallel_tool_calls`, a model may make several calls: its `false` is a demand.
  const bool off = given == false && rule->by_default != "true";
  const bool empty = given.is_structured() && given.empty();
  return off || empty || (!rule->by_default.empty() && given == Json::parse(rule->by_default));
}

Status check_messages(std::string_view messages) {
  const auto all = json::elements(messages);
  if (!all || all->empty()) return invalid("`messages` must be a list with at least one message");
  for (const std::string_view message : *all) {
    const Members members(message);
    if (members.text("role").empty()) return invalid("each of `messages` must be an object with a `role`");
    const auto content = members.at("content");
    if (content != "null" && !is_text(content) && !is_list(content)) {
      return invalid("a message's `content` must be a string or a list of parts");
    }
  }
  return success();
}

Status check_embed(const Members& request) {
  const auto input = request.at("input");
  const auto all = list_of(input);
  if (!is_text(input) && (all.empty() || !std::all_of(all.begin(), all.end(), is_text))) {
    return invalid("`input` must be a string or a list of strings");
  }
  if (const auto format = request.text("encoding_format"); !format.empty() && format != "float") {
    return invalid("`encoding_format` of a task must be float");
  }
  return success();
}

Status check_shape(RequestKind kind, const Members& request) {
  if (request.has("n") && request.number("n") != 1) return invalid("`n` must be 1: submit one task per answer");
  if (request.text("model").empty()) return invalid("`model` is missing");
  if (kind == RequestKind::chat) return check_messages(request.at("messages"));
  if (kind == RequestKind::embed) return check_embed(request);
  return is_text(request.at("prompt")) ? success() : invalid("`prompt` must be a string");
}

}  // namespace

Result<JsonText> check_request(RequestKind kind, ProviderKind provider, std::string_view input) {
  const auto given = json::well_formed(input) ? json::Object::read(input) : std::nullopt;
  if (!given) return invalid("the input must be an object in the format of OpenAI's API");
  if (auto good = check_shape(kind, Members(input)); !good) return good.error();
  std::vector<std::string_view> removed = {"n", "encoding_format"};
  for (const auto& [field, value] : given->members()) {
    const FieldRule* rule = rule_of(kind, field);
    // OpenAI-compatible servers have fields of their own; they refuse or ignore unknown ones themselves.
    const auto treatment = rule != nullptr                    ? rule->of.at(static_cast<std::size_t>(provider))
                           : provider == ProviderKind::openai ? Treatment::passed
                                                              : Treatment::refused;
    if (treatment == Treatment::no_effect) removed.push_back(field);
    if (treatment != Treatment::refused) continue;
    if (!asks_for_nothing(rule, value)) {
      const std::string why = rule != nullptr && !rule->note.empty() ? ": " + std::string(rule->note) : "";
      return unsupported("`" + field + "` is not supported by " + std::string(to_string(provider)) + why);
    }
    removed.push_back(field);
  }
  return json::without(*given, removed);
}

std::set<std::string> call_ids_of(std::string_view request) {
  std::set<std::string> ids;
  for (const std::string_view message : Members(request).list("messages")) {
    for (const std::string_view call : Members(message).list("tool_calls")) ids.insert(Members(call).text("id"));
  }
  return ids;
}

std::set<std::string> functions_of(std::string_view request) {
  std::set<std::string> names;
  for (const std::string_view tool : Members(request).list("tools")) {
    names.insert(Members(tool).object("function").text("name"));
  }
  return names;
}

std::size_t inputs_of(std::string_view request) {
  const auto input = Members(request).at("input");
  return is_list(input) ? list_of(input).size() : 1;
}

JsonText request_schema(RequestKind kind, ProviderKind provider) {
  struct Required {
    const char* field;
    Json schema;
  };
  static const std::array<Required, 3> required{{{"messages", {{"type", "array"}, {"items", {{"type", "object"}}}}},
                                                 {"prompt", {{"type", "string"}}},
                                                 {"input", {{"type", {"string", "array"}}}}}};  // by RequestKind
  const Required& content = required.at(static_cast<std::size_t>(kind));
  Json properties = Json::object();
  for (const FieldRule& rule : field_rules(kind)) {
    const auto treatment = rule.of.at(static_cast<std::size_t>(provider));
    if (treatment != Treatment::refused) properties[std::string(rule.field)] = Json::object();
  }
  properties["model"] = {{"type", "string"}};
  properties[content.field] = content.schema;
  return Json{{"type", "object"}, {"properties", properties}, {"required", Json::array({"model", content.field})}}
      .dump();
}

}  // namespace edgefleet::agent::llm
