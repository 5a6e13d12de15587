// Text for terminals: what came from elsewhere must not steer the terminal, and columns must line up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/core/counts.hpp"
#include "common/core/time.hpp"

namespace edgefleet::cli {

// Where human output goes.
struct Look {
  int width = 0;  // columns; 0: no limit (a file, a pipe)
  bool colour = false;
  WallTime now;   // ages are counted from here
};

enum class Style { plain, good, bad, warn, busy, dim, heading };
std::string paint(std::string_view text, Style style, bool colour);

// How the state of a task, attempt or agent, or a heat policy, is painted.
Style style_of_state(std::string_view state);

// Control characters (also the ones of two bytes in UTF-8) become spaces: nobody's error message moves the cursor.
std::string printable(std::string_view text);
// Bytes of the control character that `text` (not empty) begins with; 0: it begins with another one.
std::size_t control_bytes(std::string_view text);

// Columns that the text takes: its code points.
std::size_t width_of(std::string_view text);

// Without the white space around it.
std::string_view trimmed(std::string_view text);

// At most `width` columns; what is cut ends in "…".
std::string fit(std::string_view text, std::size_t width);

std::string pad(std::string_view text, std::size_t width, bool right);

// With a full stop, if it ends in none.
std::string sentence(std::string text);

}  // namespace edgefleet::cli
