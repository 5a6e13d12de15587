#include "common/protocol/artifacts.hpp"

#include <algorithm>

#include "common/core/artifact_id.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::protocol {
namespace {

constexpr auto npos = std::string_view::npos;

// The string value of the member whose key ends at `at`; empty: the text before is no key, or its value no string.
std::string_view string_after(std::string_view json, std::size_t at) {
  constexpr std::string_view space = " \t\n\r";
  at = json.find_first_not_of(space, at);
  if (at == npos || json[at] != ':') return {};
  at = json.find_first_not_of(space, at + 1);
  if (at == npos || json[at] != '"') return {};
  return json.substr(at, json::after_string(json, at) - at);
}

}  // namespace

// One pass over the strings of the text: it may be large and deep.
std::vector<std::string> artifacts_in(std::string_view json) {
  std::vector<std::string> found;
  // Nearly all tasks name none; but a key may contain escapes.
  if (json.find("artifact") == npos && json.find("\\u") == npos) return found;
  for (auto at = json.find('"'); at != npos; at = json.find('"', at)) {
    const auto end = json::after_string(json, at);
    const auto value = string_after(json, end);
    if (!value.empty() && json::as_string(json.substr(at, end - at)) == "artifact") {
      if (auto id = json::as_string(value)) found.push_back(std::move(*id));
    }
    at = end;
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<std::string> artifacts_of(std::string_view output, const std::optional<TextFile>& output_at) {
  auto ids = artifacts_in(output);
  std::erase_if(ids, [](const std::string& id) { return !valid_artifact_id(id); });
  if (!output_at) return ids;
  ids.push_back(output_at->artifact);
  ids.insert(ids.end(), output_at->artifacts.begin(), output_at->artifacts.end());
  return ids;
}

}  // namespace edgefleet::protocol
