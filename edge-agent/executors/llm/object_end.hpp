// Finds the end of an object whose text comes in pieces, and looks at each byte once. Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace edgefleet::agent::llm {

inline constexpr std::string_view white = " \t\r\n";
inline bool blank(std::string_view text) { return text.find_first_not_of(white) == std::string_view::npos; }

class ObjectEnd {
 public:
  void add(std::string_view text) {
    for (const char c : text) add(c);
  }
  // The brackets of one object are closed, and only white space follows. Whether it is JSON is not known.
  [[nodiscard]] bool reached() const { return ended_ && !other_; }

 private:
  void add(char c) {
    if (escaped_) {
      escaped_ = false;
    } else if (in_text_) {
      escaped_ = c == '\\';
      in_text_ = c != '"';
    } else if (!blank({&c, 1})) {
      other_ = other_ || ended_ || (depth_ == 0 && c != '{');
      in_text_ = c == '"';
      if (c == '{' || c == '[') ++depth_;
      if (c == '}' || c == ']') ended_ = --depth_ == 0 || ended_;
    }
  }

  std::int64_t depth_ = 0;
  bool in_text_ = false;
  bool escaped_ = false;
  bool ended_ = false;
  bool other_ = false;  // something else than the object
};

}  // namespace edgefleet::agent::llm
