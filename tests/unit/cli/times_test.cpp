#include "cli/core/times.hpp"

#include <cstdlib>
#include <ctime>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;
using namespace std::chrono_literals;

TEST_CASE("durations are parsed in their usual notations") {
  const std::pair<const char*, Duration> good[] = {{"500ms", 500ms}, {"10s", 10s},     {"5m", 5min},     {"2h", 2h},
                                                   {"1d", 24h},      {"1h30m", 90min}, {"1.5s", 1500ms}, {"10", 10s},
                                                   {"0", 0s},        {"0.25", 250ms},  {"30d", 720h}};
  for (const auto& [text, expected] : good) {
    CAPTURE(text);
    const auto read = parse_duration(text);
    REQUIRE(read);
    CHECK(*read == expected);
  }
}

TEST_CASE("the error for an invalid duration lists the valid notations") {
  for (const char* text : {"", "s", "10x", "10 s", "-5s", "1.2.3s", ".", "5m3", "1e3s", "nan", "inf", "10S"}) {
    CAPTURE(text);
    const auto read = parse_duration(text);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find("500ms, 10s") != std::string::npos);
  }
  CHECK_FALSE(parse_duration("31d"));
  CHECK_FALSE(parse_duration("99999999999999999999999h"));
}

TEST_CASE("durations are shown in the unit that fits") {
  CHECK(show_duration(120ms) == "120 ms");
  CHECK(show_duration(3240ms) == "3.2 s");
  CHECK(show_duration(9990ms) == "10 s");
  CHECK(show_duration(45s) == "45 s");
  CHECK(show_duration(303s) == "5 min 3 s");
  CHECK(show_duration(200min) == "3 h 20 min");
  CHECK(show_duration(52h) == "2 d 4 h");
}

TEST_CASE("instants are shown in the time zone of the machine, with its difference to UTC") {
  const char* const before = std::getenv("TZ");
  const std::string kept = before == nullptr ? "" : before;
  const auto in_zone = [](const char* zone, WallTime time) {
    ::setenv("TZ", zone, 1);
    ::tzset();
    return show_instant(time);
  };
  const WallTime winter{1763695211123};
  CHECK(in_zone("UTC0", winter) == "2025-11-21 03:20:11 +00:00");
  CHECK(in_zone("CET-1CEST,M3.5.0,M10.5.0/3", winter) == "2025-11-21 04:20:11 +01:00");
  CHECK(in_zone("CET-1CEST,M3.5.0,M10.5.0/3", WallTime{1750000000000}) == "2025-06-15 17:06:40 +02:00");
  CHECK(in_zone("NST3:30", winter) == "2025-11-20 23:50:11 -03:30");
  before == nullptr ? ::unsetenv("TZ") : ::setenv("TZ", kept.c_str(), 1);
  ::tzset();
}

TEST_CASE("instants are parsed to the millisecond") {
  const auto time = parse_instant("2025-11-21T03:20:11.123Z");
  REQUIRE(time);
  CHECK(time->unix_ms == 1763695211123);
  CHECK(parse_instant("1970-01-01T00:00:00Z") == WallTime{0});
  CHECK(parse_instant("2024-02-29T23:59:59.5Z"));
  for (const char* text :
       {"", "now", "2025-11-21", "2025-13-21T03:20:11Z", "2025-02-30T03:20:11Z", "2025-11-21T24:20:11Z",
        "2025-11-21T03:20:11", "2025-11-21T03:20:11.Z", "2025-11-21T03:20:1xZ", "2025-11-21T03:20:11+1Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_instant(text));
  }
}

TEST_CASE("a time in the future, because clocks differ, is just now") {
  const WallTime then{1'000'000};
  CHECK(show_age({then.unix_ms - 5000}, then) == "just now");
  CHECK(show_age({then.unix_ms + 3000}, then) == "3 s ago");
  CHECK(show_age({then.unix_ms + 300'000}, then) == "5 min ago");
  CHECK(show_age({then.unix_ms + 3 * 3600'000}, then) == "3 h ago");
  CHECK(show_age({then.unix_ms + 4 * 86400'000}, then) == "4 d ago");
}
