// Keeps one MQTT connection alive: connects, subscribes on every connect, reports "up", publishes within a window, and
// reconnects with backoff after a loss. Pure: events in, actions out; the owner's loop drives it.
//
// Messages that wait when the connection is lost are dropped: everything important is sent again by the rules of the
// tasks (leases, unacknowledged results), which do not rely on a queue.
#pragma once

#include <algorithm>
#include <deque>
#include <variant>
#include <vector>

#include "common/core/backoff.hpp"
#include "common/mqtt/port.hpp"

namespace edgefleet::mqtt {

struct DoConnect {};
struct DoSubscribe {};
struct DoSend {
  Message message;
};
struct TellUp {};                                        // subscribed: ready to publish
struct TellDown {
  std::string reason;
  int code = 0;
};   // was up, is now down
struct TellTrouble {
  std::string reason;
};              // for the log: an attempt failed, a publish was denied
struct TellRefused {
  std::uint64_t id = 0;  // of the message, which the broker can never take
  std::string reason;
};
using Action = std::variant<DoConnect, DoSubscribe, DoSend, TellUp, TellDown, TellTrouble, TellRefused>;
using Actions = std::vector<Action>;

// Why such a broker cannot carry a fleet; empty: it can.
std::string what_is_missing(const BrokerLimits& limits);

class Session {
 public:
  // Paho's cost per message grows with the number in flight, so we limit that number (docs/mqtt.md).
  static constexpr std::size_t window = 512;
  static constexpr std::size_t most_waiting = 16'384;

  explicit Session(std::uint64_t seed) : random_(seed) {}

  Actions start(Time now);
  Actions on(const ClientEvent& event, Time now);  // all except Received
  // `alone`: it is sent when nothing else is in flight, and nothing else is sent before it is delivered.
  Actions publish(Message message, bool alone = false);
  Actions tick(Time now);

  [[nodiscard]] bool up() const { return state_ == State::up; }
  [[nodiscard]] bool idle() const { return in_flight_ == 0 && waiting_.empty(); }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::optional<Time> next_tick() const { return retry_at_; }
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

 private:
  enum class State { down, connecting, subscribing, up };

  Actions retry_soon(Time now);
  Actions retry_later(Time now, const std::string& reason, bool refused = false);
  [[nodiscard]] bool worth_telling(const std::string& reason, Time now);
  [[nodiscard]] std::size_t most_in_flight() const { return std::min(window, limits_.in_flight); }
  [[nodiscard]] bool may_send() const;
  void send_waiting(Actions& actions);

  State state_ = State::down;
  BrokerLimits limits_;
  std::optional<Time> retry_at_;
  int failures_ = 0;
  std::size_t in_flight_ = 0;
  struct Waiting {
    Message message;
    bool alone = false;
  };
  std::deque<Waiting> waiting_;
  bool alone_in_flight_ = false;
  std::uint64_t dropped_ = 0;
  std::uint64_t random_;
  Backoff backoff_{std::chrono::milliseconds(200), std::chrono::seconds(1)};
  Backoff refused_backoff_{std::chrono::seconds(1), std::chrono::seconds(30)};
  // The reason of failed attempts is told once, then less and less often.
  Backoff tell_backoff_{std::chrono::minutes(1), std::chrono::hours(1)};
  std::string told_;
  int times_told_ = 0;
  Time tell_again_;
};

}  // namespace edgefleet::mqtt
