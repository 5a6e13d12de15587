// Runs the core: holds its state and its current drain, supplies the time for events, and logs its notes. Only on the
// loop's thread. The parts of the shell step events through it and read the state.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/runtime/log.hpp"
#include "coordinator/core/drain.hpp"

namespace edgefleet::coordinator {

class Engine {
 public:
  Engine(const Policy& policy, Reign reign, log::Complaints& complaints);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  Engine(Engine&&) = delete;
  Engine& operator=(Engine&&) = delete;
  ~Engine() = default;

  static Now now();
  [[nodiscard]] const State& state() const { return state_; }
  // Another coordinator has taken over: the program must end. Set at the step, even if the commit fails.
  [[nodiscard]] const std::optional<std::string>& stop_reason() const { return stop_reason_; }
  void step(const Event& event);
  void place() { heed(drain_.place(now())); }
  Drain& drain() { return drain_; }
  // The current drain could not be recorded and never will be: after this, no event is stepped.
  void give_up() { given_up_ = true; }

  // ---- before the first event
  void begin_reign(std::uint64_t epoch);
  void hold(const std::vector<TaskId>& tasks);  // since a restore
  void recover(std::vector<TaskRecord> records) { coordinator::recover(state_, std::move(records), now()); }
  void recover_tokens(const std::string& client, std::int64_t day, std::uint64_t tokens) {
    state_.budgets.count(client, day, tokens);
  }
  void recover_drained(const AgentName& agent) { coordinator::recover_drained(state_, agent); }

 private:
  void heed(const Drain::Immediates& immediates);

  log::Complaints& complaints_;
  State state_;
  Drain drain_{state_};
  std::optional<std::string> stop_reason_;
  bool given_up_ = false;
};

}  // namespace edgefleet::coordinator
