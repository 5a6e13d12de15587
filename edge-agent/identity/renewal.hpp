// Renews the agent's certificate from two thirds of its year on.
//
// The key stays the same: a renewal then replaces one file, so that key and certificate fit together after a kill at
// any time. A key that has leaked is replaced by joining anew, after the agent was revoked.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/core/time.hpp"
#include "edge-agent/identity/identity.hpp"

namespace edgefleet::agent {

inline constexpr std::int64_t certificate_life = 365LL * 86'400;  // seconds; each one begins in 1970

// ---- pure; dates are seconds since 1970

// `life`: seconds from its issue to its end.
bool renewal_due(std::int64_t certificate_end, std::int64_t now, std::int64_t life = certificate_life);
// Within a twelfth of its life: of one of a year, within a month.
bool ends_soon(std::int64_t certificate_end, std::int64_t now, std::int64_t life = certificate_life);
// Of the header `Date` (RFC 9110, 5.6.7).
std::optional<std::int64_t> http_date(std::string_view text);

// When to ask the coordinator, and what to do with what it says. Its clock counts, which judges the certificate: a
// machine's own may be in 1970 or in 2040, and is used only to warn while the coordinator cannot be reached.
class RenewalPlan {
 public:
  static constexpr Duration between_looks = std::chrono::hours(24);
  static constexpr Duration first_pause = std::chrono::minutes(1);  // after a failure; doubled up to longest_pause
  static constexpr Duration longest_pause = std::chrono::hours(1);
  static constexpr Duration between_lines = std::chrono::hours(24);  // of the log, about failures

  explicit RenewalPlan(std::int64_t certificate_end, std::int64_t life = certificate_life)
      : end_(certificate_end), life_(life) {}

  // By the coordinator's date, or by this machine's if it sends none.
  [[nodiscard]] bool due(std::optional<std::int64_t> coordinator_date, std::int64_t own_date) const {
    return renewal_due(end_, coordinator_date.value_or(own_date), life_);
  }
  void fine() { failures_ = 0; }  // the coordinator has answered, and it is not due
  void renewed(std::int64_t certificate_end) {
    end_ = certificate_end;
    failures_ = 0;
    told_at_.reset();
  }
  // The line for the log, if it is time for one.
  struct Line {
    bool warning = false;  // it ends soon, or has ended
    std::string text;
  };
  std::optional<Line> failed(Time now, std::int64_t own_date, bool was_due, const std::string& why);
  [[nodiscard]] Duration pause() const;

 private:
  std::int64_t end_;
  std::int64_t life_;
  int failures_ = 0;  // in a row
  std::optional<Time> told_at_;
};

// ----

// Asks the coordinator of `identity`, until it is stopped; blocking, for a thread of its own. Problems are logged.
// `forgotten`: called once if this ephemeral agent is no longer known to its coordinator; then it returns.
void keep_renewing(const std::stop_token& stop, const std::string& work, const Identity& identity,
                   const std::function<void()>& forgotten);
// Whether the coordinator says so. False also if it cannot be reached.
bool is_forgotten(const std::string& work, const Identity& identity, const std::stop_token& stop);

}  // namespace edgefleet::agent
