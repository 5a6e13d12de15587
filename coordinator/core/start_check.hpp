// Whether a coordinator may begin to work on a fleet: not while another one works on it. A working coordinator
// publishes a beat every second, so a new one listens before it announces itself. Pure.
#pragma once

#include <optional>

#include "common/core/agent.hpp"
#include "common/core/time.hpp"

namespace edgefleet::coordinator {

inline constexpr Duration coordinator_beat_interval = std::chrono::seconds(1);

class StartCheck {
 public:
  enum class Verdict { listening, may_start, other_works };

  // `last`: the session of the last coordinator that worked with our store. `always_listen`: whatever is retained; for
  // a coordinator that the broker has thrown out for another client of its name, and whose own session is `last` then.
  explicit StartCheck(SessionId last, bool always_listen = false)
      : last_(std::move(last)), always_listen_(always_listen) {}

  // The broker will send what is retained, and then all that is published.
  void subscribed(Time now);
  void lost_connection() { until_.reset(); }  // nothing can be heard: begins again with the next one
  // Of another coordinator. A retained status alone refuses nobody: the broker may have kept it for weeks. But it is a
  // reason to listen for beats, unless it is that of our own last run, which has ended: we hold its store.
  void status_seen(bool online, const Reign& reign, bool retained);
  void beat_seen(const Reign& reign, bool retained);

  [[nodiscard]] Verdict verdict(Time now) const;
  [[nodiscard]] std::optional<Time> next_tick() const { return until_; }
  [[nodiscard]] const std::optional<Reign>& other() const { return other_; }

 private:
  static constexpr Duration answer_time = std::chrono::milliseconds(250);  // for retained messages to arrive
  static constexpr Duration listening_time = 3 * coordinator_beat_interval;

  SessionId last_;
  bool always_listen_;
  Time began_;
  std::optional<Time> until_;  // listens
  std::optional<Reign> retained_;  // of a coordinator that may work
  std::optional<Reign> other_;  // one that works
};

}  // namespace edgefleet::coordinator
