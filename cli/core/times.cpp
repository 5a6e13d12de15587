#include "cli/core/times.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "common/core/task.hpp"

namespace edgefleet::cli {
namespace {

struct Unit {
  std::string_view name;
  double seconds;
};
constexpr std::array<Unit, 5> units = {{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};

std::optional<double> seconds_in(std::string_view unit) {
  for (const auto& known : units) {
    if (known.name == unit) return known.seconds;
  }
  return std::nullopt;
}

// Removes one number with its unit from the front of `text`; returns seconds.
std::optional<double> take_part(std::string_view& text) {
  const auto digits = text.find_first_not_of("0123456789.");
  double number = 0;
  const auto* end = text.data() + std::min(digits, text.size());
  const auto [stop, failure] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (failure != std::errc() || stop != end || digits == std::string_view::npos) return std::nullopt;
  text.remove_prefix(digits);
  const auto length = std::min(text.find_first_of("0123456789."), text.size());
  const auto unit = seconds_in(text.substr(0, length));
  if (!unit) return std::nullopt;
  text.remove_prefix(length);
  return number * *unit;
}

std::optional<double> seconds_of(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::string with_unit(text);
  if (text.find_first_not_of("0123456789.") == std::string_view::npos) with_unit += 's';
  std::string_view rest = with_unit;
  double sum = 0;
  while (!rest.empty()) {
    const auto part = take_part(rest);
    if (!part) return std::nullopt;
    sum += *part;
  }
  return sum;
}

std::string format(const char* pattern, double number) {
  std::array<char, 48> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), pattern, number);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

// "3 h 20 min": the whole part in a larger unit and the remainder in a smaller one.
std::string two_units(std::int64_t count, std::int64_t ratio, const char* large, const char* small) {
  auto text = std::to_string(count / ratio) + large;
  if (count % ratio != 0) text += " " + std::to_string(count % ratio) + small;
  return text;
}

struct Step {
  std::int64_t below;  // seconds
  std::int64_t unit;
  const char* name;
};
constexpr std::array<Step, 4> ages = {
    {{120, 1, " s ago"}, {7200, 60, " min ago"}, {172800, 3600, " h ago"}, {INT64_MAX, 86400, " d ago"}}};

std::optional<int> digits(std::string_view text, std::size_t at, std::size_t count) {
  if (text.size() < at + count) return std::nullopt;
  int value = 0;
  const auto* end = text.data() + at + count;
  const auto [stop, failure] = std::from_chars(text.data() + at, end, value);
  if (failure != std::errc() || stop != end || text[at] == '-') return std::nullopt;
  return value;
}

// ".123" -> 123, any number of digits.
std::optional<int> milliseconds(std::string_view fraction) {
  if (fraction.empty()) return 0;
  if (fraction.front() != '.' || fraction.size() < 2) return std::nullopt;
  if (fraction.find_first_not_of("0123456789", 1) != std::string_view::npos) return std::nullopt;
  std::string three(fraction.substr(1, 3));
  three.resize(3, '0');
  return digits(three, 0, 3);
}

}  // namespace

Result<Duration> parse_duration(std::string_view text, Duration most) {
  const auto seconds = seconds_of(text);
  if (!seconds) {
    return Error{"'" + std::string(text) + "' is not a duration: write " + std::string(duration_forms),
                 ErrorKind::invalid};
  }
  if (*seconds > std::chrono::duration<double>(most).count()) {
    const auto days = std::chrono::duration_cast<std::chrono::hours>(most).count() / 24;
    return Error{"'" + std::string(text) + "' is longer than " + std::to_string(days) + " days", ErrorKind::invalid};
  }
  return Duration{std::chrono::milliseconds(std::llround(*seconds * 1000))};
}

std::string show_duration(Duration d) {
  const auto ms = to_ms(d);
  if (ms < 1000) return std::to_string(ms) + " ms";
  if (ms < 9950) return format("%.1f s", static_cast<double>(ms) / 1000);
  const auto s = (ms + 500) / 1000;
  if (s < 120) return std::to_string(s) + " s";
  if (s < 7200) return two_units(s, 60, " min", " s");
  if (s < 172800) return two_units(s / 60, 60, " h", " min");
  return two_units(s / 3600, 24, " d", " h");
}

std::string show_age(WallTime now, WallTime then) {
  const auto seconds = (now.unix_ms - then.unix_ms) / 1000;
  if (seconds < 1) return "just now";
  for (const auto& step : ages) {
    if (seconds < step.below) return std::to_string(seconds / step.unit) + step.name;
  }
  return {};
}

std::optional<WallTime> parse_instant(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
      text.back() != 'Z') {
    return std::nullopt;
  }
  const auto year = digits(text, 0, 4), month = digits(text, 5, 2), day = digits(text, 8, 2);
  const auto hour = digits(text, 11, 2), minute = digits(text, 14, 2), second = digits(text, 17, 2);
  const auto ms = milliseconds(text.substr(19, text.size() - 20));
  if (!year || !month || !day || !hour || !minute || !second || !ms) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t minutes = (days * 24 + *hour) * 60 + *minute;
  return WallTime{(minutes * 60 + *second) * 1000 + *ms};
}

std::string show_instant(WallTime time) {
  const std::time_t seconds = time.unix_ms / 1000;
  std::tm local{};
  localtime_r(&seconds, &local);
  std::array<char, 64> buffer{};
  const auto length = std::strftime(buffer.data(), buffer.size(), "%Y-%m-%d %H:%M:%S %z", &local);
  std::string text(buffer.data(), length);
  return text.insert(text.size() - 2, ":");  // +0100: with a colon, as in the logs
}

}  // namespace edgefleet::cli
