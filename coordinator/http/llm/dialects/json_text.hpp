// JSON as the endpoints of language models handle it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace edgefleet::coordinator::llm {

using Json = nlohmann::json;

// As text; invalid UTF-8 is replaced.
inline std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// A member of an object; null if it is missing, or `json` is not an object.
inline const Json& member(const Json& object, const char* key) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

// A member that is a text; empty if it is missing, or not a text.
inline std::string text_member(const Json& object, const char* key) {
  const Json& text = member(object, key);
  return text.is_string() ? text.get<std::string>() : std::string();
}

}  // namespace edgefleet::coordinator::llm
