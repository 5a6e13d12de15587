// UTF-8: makes untrusted text valid for JSON, logs and messages, and cuts text between two characters.
#pragma once

#include <string>
#include <string_view>

namespace edgefleet {

// A byte that continues a character; all others begin one, or are not UTF-8.
inline bool utf8_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

// Length of the well-formed character at the beginning of `bytes`, which is not empty; 0: there is none.
std::size_t utf8_character(std::string_view bytes);

// Each byte that is not part of well-formed UTF-8 becomes U+FFFD.
std::string valid_utf8(std::string_view bytes);

// Removes the part of a character that a cut left at the end, or at the beginning.
std::string_view without_broken_end(std::string_view text);
std::string_view without_broken_begin(std::string_view text);

// The longest beginning of at most `most` bytes that ends between two characters.
std::string_view cut_front(std::string_view text, std::size_t most);
// The longest end of at most `most` bytes that begins between two characters.
std::string_view cut_back(std::string_view text, std::size_t most);

// Size in bytes of the character at the beginning of `text` (not empty) if it could change how a terminal shows other
// text: control characters of C0 and C1, DEL, and the controls of the direction of writing; 0: another character.
std::size_t control_bytes(std::string_view text);
// Each of them becomes a space.
std::string without_controls(std::string_view text);

}  // namespace edgefleet
