// The owner's limits for a provider: requests per minute and per day, tokens per day. Pure; the shell keeps the used
// part over restarts. A day is 24 hours from the first request; a wall clock that jumps back extends it, but resets
// no count.
#pragma once

#include <optional>
#include <string>

#include "common/core/time.hpp"
#include "edge-agent/executors/llm/config.hpp"

namespace edgefleet::agent::llm {

struct Spent {
  WallTime day_began;
  std::uint64_t requests = 0;
  std::uint64_t tokens = 0;
  WallTime minute_began;
  std::uint64_t requests_in_minute = 0;
};

// The wait until the next request is allowed; none: now.
struct Exhausted {
  Duration wait{};
  std::string what;  // "1500 requests a day"
};
std::optional<Exhausted> exhausted(const Budget& budget, Spent& spent, WallTime now);
void count_request(Spent& spent);
void count_tokens(Spent& spent, std::uint64_t tokens);

std::string write_spent(const Spent& spent);  // one line of JSON
Spent read_spent(const std::string& text);    // text that cannot be read counts as unused

}  // namespace edgefleet::agent::llm
