// A regular expression that must match a whole text, with a bound on the work that a hostile text can cause.
//
// PCRE2, because std::regex recurses once per character (4 KiB of text can overflow a thread's stack) and has no bound
// on backtracking. PCRE2 matches without recursion, under limits, in a library that every Debian system has loaded
// (libselinux and glib use it). RE2 would be linear, but depends on abseil on Debian 13 and lacks look-ahead, which
// ECMAScript patterns use.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::agent {

class Pattern {
 public:
  // The part of ECMAScript's syntax that PCRE2 supports (all in common use, \uXXXX included), on Unicode characters.
  static Result<Pattern> compile(const std::string& pattern);

  // Also false if the match needs too much work. Thread-safe.
  [[nodiscard]] bool matches(std::string_view text) const;
  [[nodiscard]] const std::string& str() const { return pattern_; }
  friend bool operator==(const Pattern& a, const Pattern& b) { return a.pattern_ == b.pattern_; }

 private:
  struct Code;
  Pattern(std::string pattern, std::shared_ptr<const Code> code)
      : pattern_(std::move(pattern)), code_(std::move(code)) {}

  std::string pattern_;
  std::shared_ptr<const Code> code_;
};

}  // namespace edgefleet::agent
