// Parses and shows durations and instants.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "common/core/time.hpp"

namespace edgefleet::cli {

// `500ms`, `10s`, `1.5s`, `5m`, `2h`, `1d`, `1h30m`; a bare number is in seconds. `most`: in whole days; as in
// a task.
Result<Duration> parse_duration(std::string_view text, Duration most = limits::longest);
inline constexpr std::string_view duration_forms = "500ms, 10s, 5m, 2h or 1h30m";

// "120 ms", "3.2 s", "45 s", "5 min 3 s", "3 h 20 min", "2 d 4 h".
std::string show_duration(Duration d);

// "just now", "3 s ago", "5 min ago". Clocks may differ: a time in the future is "just now".
std::string show_age(WallTime now, WallTime then);

// RFC 3339 in UTC, "2025-11-21T03:20:11.123Z".
std::optional<WallTime> parse_instant(std::string_view text);

// In the time zone of this machine, as in the logs: "2025-11-21 04:20:11 +01:00".
std::string show_instant(WallTime time);

}  // namespace edgefleet::cli
