// An agent's loop that runs in a thread of its own, with a broker that the test plays.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/system/clock.hpp"
#include "edge-agent/shell/loop.hpp"
#include "tests/support/broker.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

namespace edgefleet::test {

inline const std::string loop_root = "edgefleet/v1/home/";
inline const Reign loop_reign{7, *SessionId::parse("coordinator")};

template <typename Condition>
bool eventually(Condition condition) {
  const Time until = monotonic_now() + std::chrono::seconds(30);
  while (!condition() && monotonic_now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

struct AgentLoop {
  TemporaryFolder folder;
  Broker broker;
  std::atomic<bool> at_once{false};  // the loop asked for that
  agent::Loop loop;
  std::future<Status> ended = std::async(std::launch::async, [this] { return loop.run(); });

  // Does not throw: nothing would stop the loop. A test without a connected loop fails by itself.
  explicit AgentLoop(std::vector<std::unique_ptr<agent::Executor>> executors, agent::ReadAgain read_again = {})
      : loop(options(std::move(read_again)), std::move(executors)) {
    (void)eventually([&] { return count("agents/pi/status") > 0; });
  }
  AgentLoop(const AgentLoop&) = delete;
  AgentLoop& operator=(const AgentLoop&) = delete;
  AgentLoop(AgentLoop&&) = delete;
  AgentLoop& operator=(AgentLoop&&) = delete;
  ~AgentLoop() {
    if (!ended.valid()) return;
    loop.request_stop();
    loop.request_stop();
    ended.wait();
  }

  std::size_t count(const std::string& topic) const { return broker.on(loop_root + topic); }
  void say(const std::string& topic, std::string payload) {
    broker.say(mqtt::Received{{loop_root + topic, std::move(payload)}});
  }
  void follow() {
    using namespace protocol;
    say("coordinator/status", encode(CoordinatorStatus{CoordinatorState::online, loop_reign}));
  }
  void assign(const TaskId& task, const std::string& capability, const std::string& input, std::uint64_t n = 1) {
    follow();
    std::size_t first = 0;
    say("tasks/" + capability + "/pi", protocol::encode_tasks(loop_reign, n, limits::usual_task_bytes,
                                                              {{task, 1, input, std::chrono::minutes(1)}}, first));
  }
  void control(protocol::ControlType type, const std::vector<protocol::AttemptRef>& tasks = {}) {
    std::size_t first = 0;
    say("control/pi", protocol::encode_control(loop_reign, type, tasks, first));
  }
  void acknowledge(const TaskId& task) { control(protocol::ControlType::acknowledge, {{task, 1}}); }
  // The first result of this task, once there is one.
  TaskResult result_of(const TaskId& task) {
    TaskResult result;
    REQUIRE(eventually([&] {
      for (const auto& message : broker.published()) {
        if (message.topic != loop_root + "results/pi") continue;
        const auto decoded = protocol::decode_results(message.payload);
        for (const auto& one : decoded->results.good) {
          if (one.id != task) continue;
          result = one;
          return true;
        }
      }
      return false;
    }));
    return result;
  }
  AgentState last_state() const {
    const auto last = broker.published().back();
    REQUIRE(last.topic == loop_root + "agents/pi/status");
    return protocol::decode_agent_status(last.payload)->state;
  }
  // The last one that was published.
  AgentInfo info() const {
    AgentInfo last;
    for (const auto& message : broker.published()) {
      if (message.topic == loop_root + "agents/pi/info") last = protocol::decode_agent_info(message.payload)->info;
    }
    return last;
  }

 private:
  agent::Loop::Options options(agent::ReadAgain read_again) {
    agent::Loop::Options made;
    made.fleet = *FleetName::parse("home");
    made.name = *AgentName::parse("pi");
    made.sys = made.unknown_results = made.spool = folder.path();
    made.make_client = broker.maker();
    made.read_again = std::move(read_again);
    made.end_at_once = [this] { at_once = true; };
    return made;
  }
};

}  // namespace edgefleet::test
