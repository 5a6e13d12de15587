// The real cores of a coordinator and of agents, on simulated time, over a network that loses, repeats, reorders and
// delays messages, with crashes of either side, commits that fail, clocks that jump, heat, and tasks that kill their
// agent. Everything follows from the seed. What must never happen is checked as it happens: violations().
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "coordinator/core/drain.hpp"
#include "edge-agent/core/step.hpp"

namespace edgefleet::simulation {

// Of a message, or per second and agent (the coordinator's: per second).
struct Hazards {
  double loss = 0.02;
  double repeat = 0.02;
  double agent_crash = 0.002;
  double link_cut = 0.004;
  double heat = 0.001;
  double coordinator_crash = 0.001;
  double failing_commits = 0.002;
  double clock_jump = 0.002;
  double poison = 0.005;  // of a task: it kills its agent
};

class World {
 public:
  World(std::uint64_t seed, int agents, Hazards hazards);

  void run(Duration time);
  void submit(int count);
  void cancel_some(int count);
  void calm_down();  // nothing goes wrong any more: the end of a run, in which all must come right

  // ---- what happened, as an outsider sees it
  struct Accepted {
    coordinator::TaskRecord as_accepted;
    Time at;  // of the submit
    bool poison = false;
    int runs = 0;      // how often an agent began it
    int killed = 0;    // agents
    int outcomes = 0;  // recorded
    bool cancelled_in_time = false;  // before it was given to anybody
  };
  struct Totals {
    std::uint64_t messages = 0;
    std::uint64_t lost = 0;
    std::uint64_t agent_crashes = 0;
    std::uint64_t coordinator_crashes = 0;
    std::uint64_t failed_commits = 0;
    std::uint64_t links_cut = 0;
    std::uint64_t paused_for_heat = 0;
    std::uint64_t runs = 0;
  };
  [[nodiscard]] const std::map<TaskId, Accepted>& accepted() const { return accepted_; }
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] const Totals& totals() const { return totals_; }
  [[nodiscard]] std::array<std::size_t, task_state_count> states() const;
  [[nodiscard]] std::size_t unfinished() const;
  [[nodiscard]] std::string describe(const TaskId& id) const;

 private:
  static constexpr int models = 3;  // that every agent offers, one at a time in its memory

  struct Agent {
    AgentName name;
    std::unique_ptr<agent::State> core;  // none: crashed
    bool linked = false;
    bool touched = false;  // has heard something since its last flush
    std::uint64_t life = 0;
    std::string loaded;  // the model that it ran last
    std::map<AttemptKey, Time> ends;  // running tasks
    std::map<AttemptKey, agent::Restored> disk;  // outlasts its lives
    Time back_at;
    Time crash_at;
    Time cut_at;
    Time hot_at;
    Time cool_at;  // hot until then
    Time next_reading;
  };
  struct Message {
    Time at;
    std::uint64_t order = 0;
    std::function<void()> deliver;
    friend bool operator<(const Message& a, const Message& b) {
      return std::tie(b.at, b.order) < std::tie(a.at, a.order);
    }
  };

  // ---- chance
  bool chance(double p) { return !calm_ && std::uniform_real_distribution<>(0, 1)(random_) < p; }
  Duration some(Duration least, Duration most);
  Time next(double per_second);  // when something of this rate happens
  void post(const std::function<void()>& deliver, bool reliable = false);
  [[nodiscard]] coordinator::Now now() const { return {time_, WallTime{wall_ms_ + to_ms(time_.time_since_epoch())}}; }
  void violation(const std::string& what) { violations_.push_back(what); }

  // ---- coordinator
  void start_coordinator();
  void crash_coordinator();
  void to_coordinator(const coordinator::Event& event);
  void drain_coordinator();
  void heed(const coordinator::Drain::Immediates& immediates);
  void commit();
  void keep(const coordinator::Writes& writes);
  void fail_commits();
  void try_commit_again();
  void tick_coordinator();
  void tell(const coordinator::Drain::AfterCommit& after);
  void perform(const coordinator::Deferred& effect);
  void check_sending(const coordinator::SendTasks& send);
  void reach(const AgentName& name, agent::Event event);
  void announce(Agent& a);

  // ---- agents
  void start_agent(Agent& a);
  void offer(Agent& a);
  void crash_agent(Agent& a, bool will);
  void link(Agent& a);
  void cut(Agent& a);
  void to_agent(Agent& a, const agent::Event& event);
  void perform(Agent& a, const agent::Effect& effect);
  void tell(const Agent& a, coordinator::Event event, bool reliable = false);
  void begin(Agent& a, const agent::StartTask& start);
  void stop(Agent& a, const AttemptKey& key);
  void end_runs(Agent& a);
  void warm(Agent& a);
  void tick(Agent& a);

  std::mt19937_64 random_;
  Hazards hazards_;
  bool calm_ = false;
  Time time_{std::chrono::hours(1)};
  std::int64_t wall_ms_ = 1'700'000'000'000;  // jumps
  std::uint64_t order_ = 0;
  std::priority_queue<Message> network_;

  std::unique_ptr<coordinator::State> coordinator_;
  std::uint64_t coordinator_life_ = 0;
  Time coordinator_back_at_;
  std::optional<coordinator::Drain> drain_;  // of coordinator_
  const coordinator::Writes* writes_ = nullptr;  // of a closed drain
  std::optional<Time> failing_until_;           // a commit fails until then
  std::vector<coordinator::Event> backlog_;     // what came meanwhile
  std::map<TaskId, coordinator::TaskRecord> store_;
  std::uint64_t epoch_ = 0;
  std::map<AttemptKey, std::uint64_t> assigned_;  // by which life of the coordinator
  std::set<AttemptKey> sent_;

  std::vector<Agent> agents_;
  std::map<AgentName, std::size_t> by_name_;
  std::map<TaskId, Accepted> accepted_;
  std::map<coordinator::RequestId, Time> asked_;  // not answered yet
  coordinator::RequestId last_request_ = 0;
  std::vector<TaskId> recent_;  // accepted since the last cancel_some()
  Totals totals_;
  std::vector<std::string> violations_;
};

}  // namespace edgefleet::simulation
