// Waits for tasks with long polls, also across a restart of the coordinator.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/commands/session.hpp"
#include "common/core/time.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::cli {

// False if a stop request ended it early.
bool pause(const std::stop_token& stop, Duration duration);

class Poller {
 public:
  Poller(Session& session, std::stop_token stop, std::optional<Duration> limit);

  // GET `path`, held by the coordinator for up to `hold`. While the coordinator cannot be reached, the call is
  // repeated, with one note. After five minutes without an answer, at the limit, or on a refusal the error is returned.
  Result<std::string> get(const std::string& path, std::chrono::seconds hold);

  [[nodiscard]] bool over() const { return limit_ && monotonic_now() >= *limit_; }
  // `most` or the remaining time, whichever is shorter; at least a second.
  [[nodiscard]] std::chrono::seconds hold(std::chrono::seconds most) const;

 private:
  Result<http::Response> ask(const std::string& path, std::chrono::seconds hold);
  [[nodiscard]] bool give_up(Time now) const;

  Session& session_;
  std::stop_token stop_;
  std::optional<Time> limit_;
  std::optional<Time> unreachable_since_;
  Duration pause_{0};
  Time last_asked_{};
};

// How a wait for one task ended; an error has already been printed. `body` is the last answer of the API.
struct Waited {
  Exit exit = Exit::ok;  // ok: the task has ended
  std::string body;
};
Waited wait_for_task(Session& session, const std::string& id, const std::optional<Duration>& limit);

// The exit code for the state of an ended task.
Exit exit_of(const Document& task);

}  // namespace edgefleet::cli
