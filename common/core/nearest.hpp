// "Did you mean ...?": finds the name of a list that is most similar to a mistyped word. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgefleet {

// Number of letters to insert, delete, replace or swap with the next one (Damerau-Levenshtein distance).
std::size_t edit_distance(std::string_view a, std::string_view b);

// None if no name is near: within a third of the word's length and three letters. Case does not count.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& names);

}  // namespace edgefleet
