// The real cores of a coordinator and of agents, on simulated time, over a network that loses, repeats, reorders and
// delays messages, with crashes of either side, commits that fail, clocks that jump, heat, restores, an operator who
// drains agents, agents whose configuration changes, clients that repeat requests, tasks that kill their agent, and a
// peer that lies. The seed determines everything. Invariants are checked at each step: violations().
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
  double failing_commits = 0.006;
  double cut_retry = 0.5;   // of commits that failed: a crash at the next try, before or after it has succeeded
  double restore = 0.3;     // of starts of the coordinator: unfinished tasks are held
  double drain = 0.0005;    // by the operator
  double reload = 0.002;    // of the configuration: the executor is replaced, or removed and added again
  double repeated_key = 0.25;  // of submits with a key: it comes twice
  double clock_jump = 0.002;
  double poison = 0.005;  // of a task: it kills its agent
  double lies = 0.2;      // of a hostile peer
};

class World {
 public:
  World(std::uint64_t seed, int agents, Hazards hazards);

  void run(Duration time);
  void submit(int count);
  void cancel_some(int count);
  void calm_down();  // no more faults: the end of a run, in which all tasks must end

  // ---- what happened, as an external observer sees it
  struct Accepted {
    coordinator::TaskRecord as_accepted;
    Time at;  // of the submit
    bool poison = false;
    int runs = 0;      // how often an agent began it
    int killed = 0;    // agents
    int outcomes = 0;  // recorded
    bool cancelled_in_time = false;  // before it was assigned
  };
  struct Totals {
    std::uint64_t cut_retries = 0;  // a crash while the commit of several events was tried again
    std::uint64_t kept_before_cut = 0;  // of those: after it had succeeded
    std::uint64_t keys_twice_in_drain = 0;
    std::uint64_t keys_repeated = 0;  // in a later drain
    std::uint64_t drains = 0;      // of agents, by the operator
    std::uint64_t reloads = 0;     // of agents that held tasks
    std::uint64_t restores = 0;
    std::uint64_t messages = 0;
    std::uint64_t lost = 0;
    std::uint64_t agent_crashes = 0;
    std::uint64_t coordinator_crashes = 0;
    std::uint64_t failed_commits = 0;
    std::uint64_t links_cut = 0;
    std::uint64_t paused_for_heat = 0;
    std::uint64_t runs = 0;
    std::uint64_t lies = 0;
    std::uint64_t neighbours_of_poison = 0;
    std::uint64_t looks_for_idle_slots = 0;  // while tasks waited
    std::uint64_t passes = 0;  // a client was served while another one waited
  };
  [[nodiscard]] const std::map<TaskId, Accepted>& accepted() const { return accepted_; }
  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  [[nodiscard]] const Totals& totals() const { return totals_; }
  // Tasks that failed although nothing was wrong with them: each of their attempts was lost or failed.
  [[nodiscard]] std::vector<TaskId> innocents_failed() const;
  // The fault that ended this attempt; empty: unknown.
  [[nodiscard]] std::string reason_of_end(const TaskId& id, const coordinator::Attempt& attempt) const;
  [[nodiscard]] const coordinator::TaskRecord& kept(const TaskId& id) const { return store_.at(id); }
  [[nodiscard]] std::array<std::size_t, task_state_count> states() const;
  [[nodiscard]] std::size_t unfinished() const;
  [[nodiscard]] std::string describe(const TaskId& id) const;

 private:
  static constexpr std::array<const char*, 3> clients{"http", "alice", "bob"};
  static constexpr int models = 3;  // that every agent offers, one at a time in its memory

  struct Agent {
    AgentName name;
    std::unique_ptr<agent::State> core;  // none: crashed
    bool linked = false;
    bool touched = false;  // has received an event since its last flush
    std::uint64_t life = 0;
    std::string loaded;  // the model that it ran last
    std::map<AttemptKey, Time> ends;  // running tasks
    std::map<AttemptKey, agent::Restored> disk;  // survives restarts
    Time back_at;
    Time crash_at;
    Time cut_at;
    Time reload_at;
    Time hot_at;
    Time cool_at;  // hot until then
    Time next_reading;
    bool to_be_drained = false;  // as requested by the operator
    std::vector<std::pair<Time, Time>> away;  // crashed or cut off: from, until
  };
  // A request of a client. With a key it is repeated until it is answered, and sometimes after that.
  struct Ask {
    coordinator::SubmitTasks event;
    Time first_at;
    bool must_conflict = false;
    std::vector<TaskId> answered;
  };
  struct SeenAttempt {  // by the store
    std::uint64_t life = 0;  // of the coordinator that assigned it
    Time assigned;
    std::optional<Time> ended;
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
  Time next(double per_second);  // the time of the next event of this rate
  void post(const std::function<void()>& deliver, bool reliable = false);
  [[nodiscard]] coordinator::Now now() const { return {time_, WallTime{wall_ms_ + to_ms(time_.time_since_epoch())}}; }
  void violation(const std::string& what) { violations_.push_back(what); }

  // ---- clients and the operator: world_clients.cpp
  coordinator::SubmitTasks::One some_task();
  std::string some_submitter();
  void submit_alone(coordinator::SubmitTasks::One task);
  void submit_with_key(coordinator::SubmitTasks event);
  void send(const std::string& key, const coordinator::SubmitTasks& event, bool must_conflict = false);
  void repeat_unanswered();
  bool answered_by_store(const coordinator::SubmitTasks& event);
  void accepted(const coordinator::Accepted& answer);
  void rejected(const coordinator::Rejected& answer);
  void operate();
  void drain_some();
  void leave(Agent& a);  // for `away`

  // ---- coordinator
  void start_coordinator();
  void crash_coordinator();
  void to_coordinator(const coordinator::Event& event);
  void drain_coordinator();
  void check_idle_slots();
  void check_bytes();
  void check_shares(const coordinator::Writes& writes);
  void heed(const coordinator::Drain::Immediates& immediates);
  void commit();
  void keep(const coordinator::Writes& writes);
  void keep(const coordinator::TaskWrite& write);
  void check(const coordinator::Change& change);
  void fail_commits();
  void try_commit_again();
  void tick_coordinator();
  void tell(const coordinator::Drain::AfterCommit& after);
  void perform(const coordinator::Deferred& effect);
  void check_sending(const coordinator::SendTasks& send);
  void reach(const AgentName& name, agent::Event event);
  void announce(Agent& a);

  // ---- a hostile peer: world_hostile.cpp
  static AgentName hostile();
  void lie();
  Heartbeat false_beat(const SessionId& session);
  std::vector<TaskResult> false_results();
  [[nodiscard]] std::vector<std::pair<AttemptKey, SeenAttempt>> some_attempts() const;
  void check_hostile();

  // ---- agents
  void start_agent(Agent& a);
  void offer(Agent& a);
  void offer_after(Agent& a, Duration time);
  void reload(Agent& a);
  void crash_agent(Agent& a, bool will);
  void link(Agent& a);
  void cut(Agent& a);
  void to_agent(Agent& a, const agent::Event& event);
  void perform(Agent& a, const agent::Effect& effect);
  void tell(const Agent& a, coordinator::Event event, bool reliable = false);
  void begin(Agent& a, const agent::StartTask& start);
  void stop(Agent& a, const AttemptKey& key);
  void end_runs(Agent& a);
  void check_neighbours(const Agent& a, const TaskId& poison);
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
  std::unique_ptr<coordinator::Drain> drain_;  // of coordinator_
  const coordinator::Writes* writes_ = nullptr;  // of a closed drain
  std::optional<Time> failing_until_;           // a commit fails until then
  std::vector<coordinator::Event> backlog_;     // events that arrived in the meantime
  int events_ = 0;  // of the current drain
  // The content of the store.
  std::map<TaskId, coordinator::TaskRecord> store_;
  std::map<std::string, TaskId> task_keys_;
  std::map<std::string, coordinator::BatchRecord> batch_keys_;
  std::map<BatchId, coordinator::BatchRecord> batches_;
  std::set<AgentName> drained_;
  std::set<TaskId> held_;  // since a restore
  std::uint64_t epoch_ = 0;
  std::map<TaskId, std::optional<TaskState>> before_;  // the states before the current writes
  std::map<AttemptKey, SeenAttempt> attempts_;
  std::set<AttemptKey> sent_;
  // Clients share the fleet, as seen in this life of the coordinator.
  std::map<std::string, int> served_;  // by the current writes: new attempts
  std::map<std::string, std::set<TaskId>> waiting_;  // tasks that any agent can run
  std::map<std::string, std::map<std::string, int>> passed_;  // client -> how often others were served while it waited

  std::vector<Agent> agents_;
  std::map<AgentName, std::size_t> by_name_;
  std::map<TaskId, Accepted> accepted_;
  std::map<coordinator::RequestId, std::string> asked_;  // not answered yet -> key in asks_
  std::map<std::string, Ask> asks_;
  std::vector<std::string> old_keys_;  // answered: repeated now and then
  std::set<coordinator::RequestId> operations_;  // of the operator, not answered yet
  Time operate_at_;
  std::optional<Time> release_at_;
  std::uint64_t last_key_ = 0;
  coordinator::RequestId last_request_ = 0;
  std::vector<TaskId> recent_;  // accepted since the last cancel_some()
  Totals totals_;
  std::vector<std::string> violations_;
};

}  // namespace edgefleet::simulation
