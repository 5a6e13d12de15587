#include "common/protocol/floats.hpp"

#include <cmath>
#include <limits>

#include "common/protocol/json.hpp"

namespace edgefleet::json {

std::optional<std::vector<float>> as_floats(std::string_view array) {
  const auto all = elements(array);
  if (!all || all->empty()) return std::nullopt;
  std::vector<float> numbers;
  numbers.reserve(all->size());
  for (const std::string_view one : *all) {
    const auto number = as_number(one);
    if (!number || std::abs(*number) > std::numeric_limits<float>::max()) return std::nullopt;
    numbers.push_back(static_cast<float>(*number));
  }
  return numbers;
}

}  // namespace edgefleet::json
