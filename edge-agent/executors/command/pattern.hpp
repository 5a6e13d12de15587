// A regular expression that a whole text must match, with a bound on the work that a hostile text can cause.
//
// PCRE2, because std::regex recurses once a character (4 KiB of text can overflow a thread's stack) and has no bound
// on backtracking; PCRE2 matches without recursion, under limits, in a library that every Debian has in memory
// already (libselinux and glib use it). RE2 would be linear, but brings abseil along on Debian 13 and lacks
// look-ahead, which ECMAScript patterns use.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::agent {

class Pattern {
 public:
  // ECMAScript's syntax as far as PCRE2 shares it (all that is in common use, \uXXXX included), on Unicode characters.
  static Result<Pattern> compile(const std::string& pattern);

  // False as well when the text needs too much work to tell. From any thread.
  [[nodiscard]] bool matches(std::string_view text) const;
  [[nodiscard]] const std::string& str() const { return pattern_; }

 private:
  struct Code;
  Pattern(std::string pattern, std::shared_ptr<const Code> code)
      : pattern_(std::move(pattern)), code_(std::move(code)) {}

  std::string pattern_;
  std::shared_ptr<const Code> code_;
};

}  // namespace edgefleet::agent
