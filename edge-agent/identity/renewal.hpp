// Renews the agent's certificate from two thirds of its year on.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "edge-agent/identity/identity.hpp"

namespace edgefleet::agent {

inline constexpr std::int64_t certificate_life = 365LL * 86'400;  // seconds; each one begins in 1970

// Pure. `now`: seconds since 1970, maybe wrong: a clock in 1970 renews nothing, one that is ahead renews early.
bool renewal_due(std::int64_t certificate_end, std::int64_t now);
bool ends_soon(std::int64_t certificate_end, std::int64_t now);  // within a month

// One try. The key stays the same, so that the files always fit together. Blocking.
Result<std::int64_t> renew(const std::string& work, const Identity& identity, const std::stop_token& stop);

// Once an hour, until it is stopped.
void keep_renewing(const std::stop_token& stop, const std::string& work, Identity identity);

}  // namespace edgefleet::agent
