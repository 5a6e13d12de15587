// The log of a program: lines on stderr, which systemd, docker and balena collect. Never a payload, never a secret.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/core/result.hpp"
#include "common/core/time.hpp"

namespace edgefleet::log {

enum class Level { debug, info, warning, error };

// `level`: debug, info, warning or error.
Status start(std::string_view program, std::string_view level);
Status set_level(std::string_view level);  // later; any thread
void write(Level level, std::string_view text);
inline void debug(std::string_view text) { write(Level::debug, text); }
inline void info(std::string_view text) { write(Level::info, text); }
inline void warning(std::string_view text) { write(Level::warning, text); }
inline void error(std::string_view text) { write(Level::error, text); }

// For warnings that a bad peer could repeat without end: a bounded number of one kind within `window`, then one line
// with the number of suppressed ones. Thread-safe.
class Complaints {
 public:
  static constexpr int burst = 5;          // lines of one kind, or about one peer, within `window`
  static constexpr int crowd_burst = 100;  // lines about all peers of one kind
  static constexpr Duration window = std::chrono::seconds(30);

  // `kind`: one of a fixed number, never from a peer.
  void complain(const std::string& kind, const std::string& text, Level level = Level::warning);
  // Whatever the peer calls itself: all peers of one kind share a bound of lines, and one of them has a lower one.
  void complain_of(const std::string& kind, const std::string& peer, const std::string& text,
                   Level level = Level::warning);
  [[nodiscard]] std::uint64_t count() const;

 private:
  struct Tally {
    Time since;
    int written = 0;
    std::uint64_t left_out = 0;
  };
  struct Crowd {
    Tally all;
    std::unordered_map<std::string, Tally> peers;
  };
  static std::optional<std::uint64_t> take(Tally& tally, int most, Time now);
  static void write_with(std::uint64_t left_out, const std::string& text, Level level);

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Tally> tallies_;
  std::unordered_map<std::string, Crowd> crowds_;
  std::uint64_t count_ = 0;
};

}  // namespace edgefleet::log
