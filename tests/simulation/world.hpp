// The real cores of a coordinator and of agents, on simulated time, over a network that loses, repeats and delays
// messages, with crashes of either side. Everything follows from the seed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "coordinator/core/step.hpp"
#include "edge-agent/core/step.hpp"

namespace edgefleet::simulation {

struct Hazards {
  double loss = 0.02;         // of a message
  double repeat = 0.02;
  double agent_crash = 0.002;  // per agent and second
  double coordinator_crash = 0.001;
  double link_cut = 0.004;
  bool calm = false;           // nothing of the above: the end of a run, in which all must come right
};

class World {
 public:
  World(std::uint64_t seed, int agents, Hazards hazards);

  void run(Duration time);
  void submit(int count);
  void cancel_some(int count);
  void calm_down() { hazards_.calm = true; }

  // ---- what happened, as an outsider sees it
  struct Accepted {
    int max_attempts = 3;
    int runs = 0;       // how often an agent began it
    int outcomes = 0;   // recorded
    bool cancelled = false;
  };
  const std::map<TaskId, Accepted>& accepted() const { return accepted_; }
  const std::vector<std::string>& violations() const { return violations_; }
  std::size_t unfinished() const;
  std::string describe(const TaskId& id) const;

 private:
  struct Agent {
    int number = 0;
    AgentName name;
    std::unique_ptr<agent::State> core;  // none: crashed
    bool linked = false;
    std::uint64_t life = 0;
    std::map<AttemptKey, Time> ends;  // running tasks
    std::map<AttemptKey, agent::Restored> disk;  // outlasts its lives
    Time back_at;
  };
  struct Message {
    Time at;
    std::uint64_t order = 0;
    std::function<void()> deliver;
    friend bool operator<(const Message& a, const Message& b) {
      return std::tie(b.at, b.order) < std::tie(a.at, a.order);
    }
  };

  bool chance(double p) { return !hazards_.calm && std::uniform_real_distribution<>(0, 1)(random_) < p; }
  Duration some(Duration least, Duration most);
  void post(std::function<void()> deliver, bool reliable = false);
  coordinator::Now now() const { return {time_, WallTime{1'700'000'000'000 + to_ms(time_.time_since_epoch())}}; }

  void start_coordinator();
  void crash_coordinator();
  void to_coordinator(const coordinator::Event& event);
  void drain_coordinator();
  void perform(const coordinator::Effect& effect);

  void start_agent(Agent& a);
  void crash_agent(Agent& a, bool will);
  void link(Agent& a);
  void cut(Agent& a);
  void to_agent(Agent& a, const agent::Event& event);
  void perform(Agent& a, const agent::Effect& effect);
  void tick(Agent& a);

  std::mt19937_64 random_;
  Hazards hazards_;
  Time time_{std::chrono::hours(1)};
  std::uint64_t order_ = 0;
  std::priority_queue<Message> network_;

  std::unique_ptr<coordinator::State> coordinator_;
  std::uint64_t coordinator_life_ = 0;
  Time coordinator_back_at_;
  std::set<TaskId> dirty_;
  std::vector<coordinator::Effect> after_commit_;
  std::map<TaskId, coordinator::TaskRecord> store_;
  std::uint64_t epoch_ = 0;

  std::vector<Agent> agents_;
  std::map<TaskId, Accepted> accepted_;
  std::vector<std::string> violations_;
};

}  // namespace edgefleet::simulation
