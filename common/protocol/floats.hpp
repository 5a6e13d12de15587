// Vectors of numbers in JSON: embeddings. Pure.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace edgefleet::json {

// The numbers of an array. No value: it has another element, a number that a float cannot hold, or no element.
std::optional<std::vector<float>> as_floats(std::string_view array);

}  // namespace edgefleet::json
