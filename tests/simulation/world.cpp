#include "tests/simulation/world.hpp"

#include <sstream>

namespace edgefleet::simulation {
namespace {

using namespace std::chrono_literals;
constexpr Duration turn = 100ms;

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

// The broker keeps the retained status, so it is not lost permanently; any other message may be.
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
  for (auto& a : agents_) {
    a.crash_at = a.cut_at = a.hot_at = a.reload_at = Time::max();
    a.to_be_drained = false;
  }
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
      if (random_() % 3 == 0) drain_coordinator();
    }
    for (auto& a : agents_) tick(a);
    operate();
    if (chance(hazards_.lies * std::chrono::duration<double>(turn).count())) lie();
    tick_coordinator();
    check_hostile();
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
