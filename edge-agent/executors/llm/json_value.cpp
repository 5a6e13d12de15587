#include "edge-agent/executors/llm/json_value.hpp"

#include <algorithm>

namespace edgefleet::agent::llm {

const Json& at(const Json& object, const char* key) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

std::string text_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : std::string();
}

std::optional<std::int64_t> count_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  if (!value.is_number_integer()) return std::nullopt;
  return std::max<std::int64_t>(0, value.get<std::int64_t>());
}

}  // namespace edgefleet::agent::llm
