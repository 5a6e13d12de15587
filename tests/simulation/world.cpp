#include "tests/simulation/world.hpp"

#include <sstream>

namespace edgefleet::simulation {
namespace {

using namespace std::chrono_literals;
constexpr Duration turn = 100ms;
const Capability work = *Capability::parse("work");

}  // namespace

World::World(std::uint64_t seed, int agents, Hazards hazards) : random_(seed), hazards_(hazards) {
  agents_.resize(static_cast<std::size_t>(agents));
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    agents_[i].name = *AgentName::parse("pi-" + std::to_string(i));
    agents_[i].hot_at = next(hazards_.heat);
    by_name_[agents_[i].name] = i;
  }
  start_coordinator();
  for (auto& a : agents_) start_agent(a);
}

Duration World::some(Duration least, Duration most) {
  return Duration{std::uniform_int_distribution<std::int64_t>(least.count(), most.count())(random_)};
}

Time World::next(double per_second) {
  if (calm_ || per_second <= 0) return Time::max();
  const double seconds = std::exponential_distribution<>(per_second)(random_);
  return time_ + Duration{static_cast<std::int64_t>(seconds * 1e9)};
}

// Retained status is what the broker keeps, so it is not lost for good; all else may be.
void World::post(const std::function<void()>& deliver, bool reliable) {
  ++totals_.messages;
  int copies = 1;
  if (!reliable && chance(hazards_.loss)) {
    copies = 0;
    ++totals_.lost;
  } else if (chance(hazards_.repeat)) {
    copies = 2;
  }
  for (int i = 0; i < copies; ++i) network_.push({time_ + some(1ms, 80ms), ++order_, deliver});
}

void World::calm_down() {
  calm_ = true;
  for (auto& a : agents_) a.crash_at = a.cut_at = a.hot_at = Time::max();
}

void World::run(Duration time) {
  const Time until = time_ + time;
  while (time_ < until) {
    time_ += turn;
    if (chance(hazards_.clock_jump * 0.1)) wall_ms_ += to_ms(some(-48h, 48h));
    while (!network_.empty() && network_.top().at <= time_) {
      const auto deliver = network_.top().deliver;
      network_.pop();
      deliver();
      drain_coordinator();
    }
    for (auto& a : agents_) tick(a);
    tick_coordinator();
  }
}

void World::submit(int count) {
  if (!coordinator_ || failing_until_) return;  // refused, so not accepted
  coordinator::SubmitTasks event;
  event.request = ++last_request_;
  asked_[event.request] = time_;
  for (int i = 0; i < count; ++i) {
    coordinator::SubmitTasks::One one;
    one.spec.capability = work;
    one.spec.timeout = 10min;
    const auto kind = random_() % 20;
    one.spec.max_attempts = kind < 2 ? 1 : 50;
    one.spec.priority = static_cast<int>(random_() % 3);
    if (kind == 2) one.spec.delay = some(1s, 60s);
    if (kind == 3) one.spec.expires_after = some(1s, 60s);
    if (chance(hazards_.poison)) {
      one.spec.name = "poison";
      one.spec.max_attempts = 3;
    }
    if (random_() % 4 == 0) one.spec.where["model"] = "m" + std::to_string(random_() % models);
    if (random_() % 8 == 0) {  // a turn of one of a few conversations
      const auto talk = 1'000 * (1 + random_() % 5);
      for (std::uint64_t said = 0; said <= random_() % 4; ++said) one.beginnings.push_back(talk + said);
    }
    event.tasks.push_back(std::move(one));
  }
  to_coordinator(event);
  drain_coordinator();
}

void World::cancel_some(int count) {
  if (!coordinator_ || failing_until_) return;
  std::vector<TaskId> wanted;
  for (const auto& id : recent_) {
    if (static_cast<int>(wanted.size()) < count && random_() % 4 == 0) wanted.push_back(id);
  }
  recent_.clear();
  for (const auto& id : wanted) {
    const auto task = coordinator_->tasks.find(id);
    if (task == coordinator_->tasks.end() || ended(task->second.record.state)) continue;
    const bool in_time = task->second.record.attempts.empty();
    to_coordinator(coordinator::CancelTask{0, id});
    drain_coordinator();
    // The cancel may have died with its coordinator before it was durable.
    const bool recorded = store_.count(id) > 0 && store_.at(id).state == TaskState::cancelled;
    accepted_[id].cancelled_in_time = in_time && recorded;
    if (!coordinator_ || failing_until_) return;
  }
}

std::array<std::size_t, task_state_count> World::states() const {
  std::array<std::size_t, task_state_count> counts{};
  for (const auto& [id, record] : store_) ++counts.at(static_cast<std::size_t>(record.state));
  return counts;
}

std::size_t World::unfinished() const {
  std::size_t count = 0;
  for (const auto& [id, task] : accepted_) {
    const auto record = store_.find(id);
    if (record == store_.end() || !ended(record->second.state)) ++count;
  }
  return count;
}

std::string World::describe(const TaskId& id) const {
  std::ostringstream text;
  const auto record = store_.find(id);
  if (record == store_.end()) return id.str() + " is not in the store";
  text << id.str() << ' ' << to_string(record->second.state);
  for (const auto& a : record->second.attempts) {
    text << " [" << a.n << ' ' << a.agent.str() << ' ' << to_string(a.state) << ']';
  }
  return text.str();
}

}  // namespace edgefleet::simulation
