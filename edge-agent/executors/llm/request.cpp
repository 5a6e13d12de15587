#include "edge-agent/executors/llm/request.hpp"

#include <algorithm>
#include <array>

namespace edgefleet::agent::llm {
namespace {

const FieldRule* rule_of(RequestKind kind, const std::string& field) {
  const auto& rules = field_rules(kind);
  const auto found = std::find_if(rules.begin(), rules.end(), [&](const FieldRule& r) { return r.field == field; });
  return found == rules.end() ? nullptr : &*found;
}

// Equivalent to an absent field.
bool is_empty(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || (value.is_structured() && value.empty());
}

Result<Json> check_messages(const Json& messages) {
  if (!messages.is_array() || messages.empty()) return invalid("`messages` must be a list with at least one message");
  for (const Json& message : messages) {
    if (!message.is_object() || text_at(message, "role").empty()) {
      return invalid("each of `messages` must be an object with a `role`");
    }
    const Json& content = at(message, "content");
    if (!content.is_null() && !content.is_string() && !content.is_array()) {
      return invalid("a message's `content` must be a string or a list of parts");
    }
  }
  return messages;
}

Status check_shape(RequestKind kind, const Json& request) {
  if (const Json& n = at(request, "n"); !n.is_null() && n != 1) {
    return invalid("`n` must be 1: submit one task per answer");
  }
  if (text_at(request, "model").empty()) return invalid("`model` is missing");
  if (kind == RequestKind::chat) {
    if (auto good = check_messages(at(request, "messages")); !good) return good.error();
  }
  if (kind == RequestKind::generate && !at(request, "prompt").is_string()) return invalid("`prompt` must be a string");
  if (kind == RequestKind::embed) {
    const Json& input = at(request, "input");
    const bool strings = input.is_array() && !input.empty() &&
                         std::all_of(input.begin(), input.end(), [](const Json& one) { return one.is_string(); });
    if (!input.is_string() && !strings) return invalid("`input` must be a string or a list of strings");
    if (const auto format = text_at(request, "encoding_format"); !format.empty() && format != "float") {
      return invalid("`encoding_format` of a task must be float");
    }
  }
  return success();
}

}  // namespace

Result<Json> check_request(RequestKind kind, ProviderKind provider, std::string_view input) {
  const Json given = Json::parse(input, nullptr, false);
  if (!given.is_object()) return invalid("the input must be an object in the format of OpenAI's API");
  if (auto good = check_shape(kind, given); !good) return good.error();
  Json request = Json::object();
  for (const auto& [field, value] : given.items()) {
    if (is_empty(value) && field != "think") continue;
    const FieldRule* rule = rule_of(kind, field);
    // OpenAI-compatible servers have fields of their own; they refuse or ignore unknown ones themselves.
    const auto treatment = rule != nullptr                    ? rule->of.at(static_cast<std::size_t>(provider))
                           : provider == ProviderKind::openai ? Treatment::passed
                                                              : Treatment::refused;
    if (treatment == Treatment::refused) {
      const std::string why = rule != nullptr && !rule->note.empty() ? ": " + std::string(rule->note) : "";
      return invalid("`" + field + "` is not supported by " + std::string(to_string(provider)) + why);
    }
    if (treatment != Treatment::no_effect) request[field] = value;
  }
  request.erase("n");
  request.erase("encoding_format");
  return request;
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
