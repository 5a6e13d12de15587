#include "coordinator/broker_guard.hpp"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "common/mqtt/paho_client.hpp"
#include "common/runtime/log.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_acts.hpp"
#include "coordinator/broker_canaries.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration between_looks = std::chrono::seconds(1);
constexpr Duration between_tries = std::chrono::minutes(1);
constexpr Duration stop_patience = std::chrono::seconds(30);  // a trial of watch.sh, and the end of the broker
constexpr Duration soon = std::chrono::minutes(10);           // after a restart

// Until one gets through.
BrokerTrial try_all(const ClosedFleet& closed, const std::stop_token& stop) {
  BrokerTrial found;
  found.at = wall_now();
  const auto all = broker_canaries(closed);
  if (!all) {
    log::warning("what the broker must refuse cannot be tried: " + all.error().message);
    found.unknown.push_back(all.error().message);
    return found;
  }
  for (const Canary& canary : *all) {
    if (stop.stop_requested() || !found.passes.empty()) break;
    ++found.tried;
    const auto end = try_canary(canary, mqtt::make_paho_client, canary_patience);
    if (end == CanaryEnd::passed) found.passes.push_back(canary.what);
    if (end == CanaryEnd::unknown) found.unknown.push_back("whether " + canary.what);
  }
  return found;
}

class Guard {
 public:
  Guard(ClosedFleet& closed, const std::stop_token& stop) : closed_(closed), stop_(stop) {}

  void run() {
    while (!waited(between_looks)) {
      const BrokerState state = closed_.broker_state();
      report(state);
      if (!is_due(state)) continue;
      auto turn = closed_.turn_to_try();
      if (!turn) continue;  // a whole trial is at work, with the same identities
      tried_at_ = monotonic_now();
      tried_ = state.generation;
      const BrokerTrial found = try_all(closed_, stop_);
      closed_.note_trial(found);
      turn.reset();
      if (!found.passes.empty()) close(found.passes.front());
    }
  }

 private:
  bool waited(Duration length) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, stop_, length, [&] { return stop_.stop_requested(); });
  }

  void report(const BrokerState& state) {
    if (state == reported_) return;
    reported_ = state;
    if (state.broker == "down" || state.broker == "stopped") {
      const std::string remedy =
          state.broker == "down" ? "" : "; once its files are right, remove " + closed_.setup().broker_folder + "/stop";
      log::warning("the broker does not run: " + state.why + remedy);
    } else if (!state.refused.empty()) {
      log::warning("the broker goes on with its former files, because the new ones are bad: " + state.why);
    } else if (state.broker == "running") {
      log::info("the broker works with generation " + state.generation + " of its files");
    }
  }

  // The certificate that must be refused is in the list of the newest files, which the broker may not have yet.
  bool is_due(const BrokerState& state) {
    if (state.broker != "running") return false;
    if (!has_had_newest_ && state.generation != current_generation(closed_.setup().broker_folder)) return false;
    has_had_newest_ = true;
    return state.generation != tried_ || monotonic_now() - tried_at_ >= between_tries;
  }

  void close(const std::string& what) {
    const std::string folder = closed_.setup().broker_folder;
    const Time now = monotonic_now();
    const bool again = closed_at_ && now - *closed_at_ < soon;
    closed_at_ = now;
    const std::string why = "the broker lets through what it must refuse: " + what;
    log::error(why + (again ? ". It stays stopped; when its files are right again, remove " + folder + "/stop"
                            : ". It is stopped and started again, which it does with good files only"));
    (void)closed_.accesses().database().audit({wall_now(), "coordinator", "broker.stop", what});
    if (auto stopped = stop_broker({folder, {}}, why); !stopped) return log::error(stopped.error().message);
    const bool has_ended = ends();
    if (!has_ended) log::error("mosquitto/watch.sh has not stopped the broker: stop it by hand");
    if (again || !has_ended) return;
    if (auto released = release_broker(folder); !released) log::error(released.error().message);
  }

  // Also while the coordinator ends: otherwise nobody would let the broker start again.
  [[nodiscard]] bool ends() const {
    const Time until = monotonic_now() + stop_patience;
    while (monotonic_now() < until) {
      if (closed_.broker_state().broker == "stopped") return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return false;
  }

  ClosedFleet& closed_;
  const std::stop_token stop_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  BrokerState reported_;
  bool has_had_newest_ = false;
  std::string tried_;  // the generation
  Time tried_at_{};
  std::optional<Time> closed_at_;
};

}  // namespace

void guard_broker(const std::stop_token& stop, ClosedFleet& closed) { Guard(closed, stop).run(); }

}  // namespace edgefleet::coordinator
