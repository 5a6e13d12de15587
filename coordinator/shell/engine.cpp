#include "coordinator/shell/engine.hpp"

#include "common/core/overloaded.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"

namespace edgefleet::coordinator {

Engine::Engine(const Policy& policy, Reign reign, log::Complaints& complaints)
    : complaints_(complaints), state_(std::move(reign), random_seed()) {
  state_.policy = policy;
}

Now Engine::now() { return Now{monotonic_now(), wall_now()}; }

void Engine::step(const Event& event) {
  if (!given_up_) heed(drain_.step(event, now()));
}

void Engine::begin_reign(std::uint64_t epoch) {
  state_.reign.epoch = epoch;
  step(ReignBegun{});
}

void Engine::hold(const std::vector<TaskId>& tasks) { state_.on_hold.insert(tasks.begin(), tasks.end()); }

void Engine::heed(const Drain::Immediates& immediates) {
  for (const Immediate& immediate : immediates) {
    std::visit(overloaded{
                   [&](const Note& note) {
                     // Its kind names an agent.
                     complaints_.complain_of("note", note.kind, note.text,
                                             note.level == NoteLevel::info ? log::Level::info : log::Level::warning);
                   },
                   [&](const StopProgram& stop) { stop_reason_ = stop.reason; },
               },
               immediate);
  }
}

}  // namespace edgefleet::coordinator
