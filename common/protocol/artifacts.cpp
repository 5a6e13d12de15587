#include "common/protocol/artifacts.hpp"

#include <algorithm>

#include "common/protocol/json.hpp"

namespace edgefleet::protocol {
namespace {

void collect(std::string_view value, std::vector<std::string>& found) {
  if (const auto object = json::Object::read(value)) {
    for (const auto& [key, slice] : object->members()) {
      const auto text = key == "artifact" ? json::as_string(slice) : std::nullopt;
      if (text) {
        found.push_back(*text);
      } else {
        collect(slice, found);
      }
    }
  } else if (const auto elements = json::elements(value)) {
    for (const auto element : *elements) collect(element, found);
  }
}

}  // namespace

std::vector<std::string> artifacts_in(std::string_view json) {
  std::vector<std::string> found;
  // Nearly all tasks name none; but a key may contain escapes.
  if (json.find("artifact") == std::string_view::npos && json.find("\\u") == std::string_view::npos) return found;
  collect(json, found);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace edgefleet::protocol
