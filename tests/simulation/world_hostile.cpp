// A peer that may publish on the topics of one agent, and lies: it harms only itself.
#include "tests/simulation/world.hpp"

#include <limits>

namespace edgefleet::simulation {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t absurd_epoch = std::uint64_t{1} << 53U;

}  // namespace

AgentName World::hostile() { return *AgentName::parse("hostile"); }

// One lie of the many.
void World::lie() {
  ++totals_.lies;
  const AgentName name = hostile();
  const auto session = *SessionId::parse(random_() % 3 == 0 ? "another" : "one");
  const auto say = [&](const coordinator::Event& event) { post([this, event] { to_coordinator(event); }); };
  switch (random_() % 6) {
    case 0: {
      AgentInfo info;
      info.session = session;
      for (int n = 0; n < 50; ++n) {
        ExecutorInfo executor;
        executor.name = *ExecutorName::parse("e" + std::to_string(n));
        executor.capabilities = {*Capability::parse("unwanted")};
        executor.slots = 10'000;
        executor.loaded_models = {"model-" + std::to_string(random_() % models)};
        info.executors.push_back(std::move(executor));
      }
      return say(coordinator::AgentInfoSeen{name, info});
    }
    case 1:
      return say(
          coordinator::AgentStatusSeen{name, {random_() % 2 == 0 ? AgentState::online : AgentState::lost, session}});
    case 2:
      return say(coordinator::HeartbeatSeen{name, false_beat(session)});
    case 3:
      return say(coordinator::ResultsSeen{name, false_results()});
    case 4: {
      coordinator::CoordinatorSeen claim{true, Reign{absurd_epoch, session}, true};
      say(claim);
      for (auto& a : agents_) {
        post([this, &a, life = a.life, reign = claim.reign] {
          if (a.life == life && a.linked) to_agent(a, agent::CoordinatorSeen{true, reign});
        });
      }
      return;
    }
    default:
      return say(coordinator::AgentStatusSeen{*AgentName::parse("invented-" + std::to_string(random_() % 1000)),
                                              {AgentState::lost, session}});
  }
}

// It lists attempts of others.
Heartbeat World::false_beat(const SessionId& session) {
  Heartbeat beat;
  beat.session = session;
  beat.sequence = random_() % 2 == 0 ? std::numeric_limits<std::uint64_t>::max() : random_() % 100;
  beat.n = random_();
  if (coordinator_ && random_() % 4 != 0) beat.coordinator = coordinator_->reign;
  if (random_() % 8 == 0) beat.coordinator.epoch = absurd_epoch;
  for (const auto& [key, attempt] : some_attempts()) {
    beat.held.push_back({key.id, key.attempt, HeldPhase::running, *ExecutorName::parse("e1")});
  }
  return beat;
}

std::vector<TaskResult> World::false_results() {
  std::vector<TaskResult> results;
  for (const auto& [key, attempt] : some_attempts()) {
    TaskResult result;
    result.id = key.id;
    result.attempt = key.attempt;
    result.status = static_cast<ResultStatus>(random_() % 4);
    result.output = "\"forged\"";
    if (result.status == ResultStatus::failed) result.error = TaskError{"forged", "forged", false, {}};
    results.push_back(std::move(result));
  }
  return results;
}

// The newest ones that the store knows.
std::vector<std::pair<AttemptKey, World::SeenAttempt>> World::some_attempts() const {
  std::vector<std::pair<AttemptKey, SeenAttempt>> found;
  for (auto one = attempts_.rbegin(); one != attempts_.rend() && found.size() < 20; ++one) found.emplace_back(*one);
  return found;
}

void World::check_hostile() {
  if (!coordinator_) return;
  const auto known = coordinator_->agent_index.find(hostile());
  if (known != coordinator_->agent_index.end() && !coordinator_->agents[known->second].attempts.empty()) {
    violation("the hostile peer got a task");
  }
  if (coordinator_->over) violation("the hostile peer stopped the coordinator");
}

}  // namespace edgefleet::simulation
