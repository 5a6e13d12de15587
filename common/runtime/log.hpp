// The log of a program: lines on stderr, which systemd, docker and balena collect. Never a payload, never a secret.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/core/result.hpp"
#include "common/core/time.hpp"

namespace edgefleet::log {

enum class Level { debug, info, warning, error };

// `level`: debug, info, warning or error.
Status start(std::string_view program, std::string_view level);
void write(Level level, std::string_view text);
inline void debug(std::string_view text) { write(Level::debug, text); }
inline void info(std::string_view text) { write(Level::info, text); }
inline void warning(std::string_view text) { write(Level::warning, text); }
inline void error(std::string_view text) { write(Level::error, text); }

// For warnings that a bad peer could repeat without end: at most `burst` of one kind within `window`, then one line
// with the number of suppressed ones. Thread-safe.
class Complaints {
 public:
  void complain(const std::string& kind, const std::string& text, Level level = Level::warning);
  [[nodiscard]] std::uint64_t count() const;

 private:
  static constexpr int burst = 5;
  static constexpr Duration window = std::chrono::seconds(30);
  static constexpr std::size_t most_kinds = 1000;
  struct Tally {
    Time since;
    int written = 0;
    std::uint64_t left_out = 0;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Tally> kinds_;
  std::uint64_t count_ = 0;
};

}  // namespace edgefleet::log
