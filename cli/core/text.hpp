// Text for terminals: foreign text must not control the terminal, and columns must be aligned.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/core/counts.hpp"
#include "common/core/time.hpp"
#include "common/core/trimmed.hpp"

namespace edgefleet::cli {

// Properties of the output for people.
struct Look {
  int width = 0;  // columns; 0: no limit (a file, a pipe)
  bool colour = false;
  WallTime now;   // ages are relative to this
};

enum class Style { plain, good, bad, warn, busy, dim, heading };
std::string paint(std::string_view text, Style style, bool colour);

// The style for the state of a task, attempt or agent, or for a heat policy.
Style style_of_state(std::string_view state);

// Control characters, also those of the direction of writing, become spaces: a message must not move the cursor, or
// show a text in another order than it has.
std::string printable(std::string_view text);

// Columns of the text: the number of its code points.
std::size_t width_of(std::string_view text);

// Order of names for people: runs of digits compare as numbers.
bool natural_less(std::string_view a, std::string_view b);

// At most `width` columns; a text that is cut ends in "…".
std::string fit(std::string_view text, std::size_t width);

std::string pad(std::string_view text, std::size_t width, bool right);

// Adds a full stop if the text ends without punctuation.
std::string sentence(std::string text);

}  // namespace edgefleet::cli
