#include "edge-agent/executors/llm/budget.hpp"

#include <algorithm>

#include "edge-agent/executors/llm/json_value.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::int64_t minute_ms = 60'000;
constexpr std::int64_t day_ms = 24 * 60 * minute_ms;

// Starts a new window when one is over; a start in the future is set to now.
bool over(WallTime& began, std::int64_t length_ms, WallTime now) {
  if (began.unix_ms > now.unix_ms) began = now;
  if (began.unix_ms != 0 && now.unix_ms - began.unix_ms < length_ms) return false;
  began = now;
  return true;
}

Duration rest(WallTime began, std::int64_t length_ms, WallTime now) {
  return std::chrono::milliseconds(std::max<std::int64_t>(1000, began.unix_ms + length_ms - now.unix_ms));
}

}  // namespace

std::optional<Exhausted> exhausted(const Budget& budget, Spent& spent, WallTime now) {
  if (over(spent.day_began, day_ms, now)) spent.requests = spent.tokens = 0;
  if (over(spent.minute_began, minute_ms, now)) spent.requests_in_minute = 0;
  const auto used_up = [](std::uint64_t bound, std::uint64_t used) { return bound > 0 && used >= bound; };
  if (used_up(budget.tokens_per_day, spent.tokens)) {
    return Exhausted{rest(spent.day_began, day_ms, now), std::to_string(budget.tokens_per_day) + " tokens a day"};
  }
  if (used_up(budget.requests_per_day, spent.requests)) {
    return Exhausted{rest(spent.day_began, day_ms, now), std::to_string(budget.requests_per_day) + " requests a day"};
  }
  if (used_up(budget.requests_per_minute, spent.requests_in_minute)) {
    return Exhausted{rest(spent.minute_began, minute_ms, now),
                     std::to_string(budget.requests_per_minute) + " requests a minute"};
  }
  return std::nullopt;
}

void count_request(Spent& spent) {
  ++spent.requests;
  ++spent.requests_in_minute;
}

void count_tokens(Spent& spent, std::uint64_t tokens) { spent.tokens += tokens; }

std::string write_spent(const Spent& spent) {
  return Json{{"day_began_ms", spent.day_began.unix_ms},
              {"requests", spent.requests},
              {"tokens", spent.tokens},
              {"minute_began_ms", spent.minute_began.unix_ms},
              {"requests_in_minute", spent.requests_in_minute}}
             .dump() +
         "\n";
}

Spent read_spent(const std::string& text) {
  const Json read = Json::parse(text, nullptr, false);
  const auto count = [&](const char* key) { return count_at(read, key).value_or(0); };
  return {WallTime{count("day_began_ms")}, static_cast<std::uint64_t>(count("requests")),
          static_cast<std::uint64_t>(count("tokens")), WallTime{count("minute_began_ms")},
          static_cast<std::uint64_t>(count("requests_in_minute"))};
}

}  // namespace edgefleet::agent::llm
