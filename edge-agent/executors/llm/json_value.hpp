// JSON as a tree, for answers of which nothing is passed on: lists of models, downloads.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace edgefleet::agent::llm {

using Json = nlohmann::json;

// Members of untrusted JSON; a member of a wrong type counts as absent.
std::string text_at(const Json& object, const char* key);
std::optional<std::int64_t> count_at(const Json& object, const char* key);
const Json& at(const Json& object, const char* key);  // null if absent

}  // namespace edgefleet::agent::llm
