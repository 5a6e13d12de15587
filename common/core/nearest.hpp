// "Did you mean ...?": of a list of names the one that a mistyped word is most like. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgefleet {

// How many letters must be put in, taken out, changed or swapped with the next one.
std::size_t edit_distance(std::string_view a, std::string_view b);

// None: nothing is near, that is within a third of the word's length and three letters.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& names);

}  // namespace edgefleet
