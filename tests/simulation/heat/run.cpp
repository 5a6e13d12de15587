#include "tests/simulation/heat/run.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "common/core/overloaded.hpp"
#include "edge-agent/core/step.hpp"

namespace edgefleet::simulation {
namespace {

using namespace std::chrono_literals;
using namespace edgefleet::agent;

constexpr Duration turn = 100ms;
constexpr Duration reading_every = 2s;   // as the agent's shell does
constexpr double sensor_step = 0.487;    // of the Pi's sensor
const Capability work = *Capability::parse("work");
const Reign reign{1, *SessionId::parse("c1")};

double seconds(Duration length) { return std::chrono::duration<double>(length).count(); }

HeatLimits limits_for(const BoardModel& model, Care care) {
  HeatLimits limits = limits_for_board(model.device_tree);
  limits.observe_only = care == Care::firmware;
  return limits;
}

class Run {
 public:
  Run(const BoardModel& model, double air, const Workload& workload, Care care)
      : board_(model, air),
        workload_(workload),
        care_(care),
        agent_(*AgentName::parse("pi"), *SessionId::parse("life"), limits_for(model, care)) {
    ExecutorInfo executor;
    executor.name = *ExecutorName::parse("main");
    executor.capabilities = {work};
    executor.slots = workload.slots;
    receive(OfferChanged{executor, workload.freezes});
    receive(LinkUp{});
    receive(CoordinatorSeen{true, reign});
  }

  Outcome go(Duration length) {
    const Time end = now_ + length;
    double sum = 0;
    while (now_ < end) {
      come();
      place();
      read();
      progress();
      receive(Tick{});
      receive(Flush{});
      sum += board_.celsius() * seconds(turn);
      now_ += turn;
    }
    outcome_.mean = sum / seconds(length);
    return outcome_;
  }

 private:
  struct Running {
    Duration began{};
    double left = 0;  // seconds at full clock
  };

  void receive(const Event& event) {
    for (auto& effect : agent::step(agent_, event, now_)) perform(effect);
  }

  void perform(const Effect& effect) {
    if (const auto* start = std::get_if<StartTask>(&effect)) {
      running_[start->key] = {now_.time_since_epoch(), seconds(workload_.task)};
    } else if (const auto* freeze = std::get_if<FreezeWork>(&effect)) {
      frozen_ = freeze->frozen;
    } else if (const auto* send = std::get_if<SendResults>(&effect)) {
      for (const auto& result : send->results) {
        if (result.status == ResultStatus::returned) ++waiting_;  // goes back to the queue
        acknowledged_.push_back({{result.id, result.attempt}, false});
      }
    }
  }

  // Adds work on schedule.
  void come() {
    if (workload_.burst == 0) {
      waiting_ = std::max(waiting_, workload_.slots);
    } else if (now_ >= next_burst_) {
      waiting_ += workload_.burst;
      burst_at_ = now_;
      next_burst_ = now_ + workload_.burst_every;
    }
  }

  // Acts as the coordinator: sends as many tasks as there are free slots, and acknowledges received results.
  void place() {
    if (!acknowledged_.empty()) receive(AcknowledgeSeen{reign, std::exchange(acknowledged_, {})});
    TasksSeen message{reign, ++n_, work, {}};
    for (int free = free_slots(agent_).begin()->second; free > 0 && waiting_ > 0; --free, --waiting_) {
      message.tasks.push_back({TaskId{Ulid{1, ++given_}}, 1, "1", 1h});
    }
    if (!message.tasks.empty()) receive(message);
  }

  void read() {
    if (care_ == Care::none || now_ < next_reading_) return;
    next_reading_ = now_ + reading_every;
    const double shown = std::floor(board_.celsius() / sensor_step) * sensor_step;
    receive(TemperatureRead{{{"thermal_zone0 (cpu-thermal)", true, shown * 1000, ""}}, {}, 0});
  }

  void progress() {
    const bool stopped = frozen_ && workload_.freezes;
    const double busy = stopped ? 0 : std::min(4.0, workload_.cores * static_cast<double>(running_.size()));
    const double speed = stopped ? 0 : board_.speed();
    outcome_.core_hours += busy * speed * seconds(turn) / 3600;
    if (stopped) outcome_.frozen += turn;
    if (board_.throttled()) outcome_.throttled += turn;
    if (board_.celsius() >= 80) outcome_.above += turn;
    board_.run(turn, busy);
    outcome_.highest = std::max(outcome_.highest, board_.celsius());
    std::vector<Finished> finished;
    for (auto& [key, task] : running_) {
      task.left -= speed * seconds(turn);
      if (task.left <= 0) finished.push_back({key, "1", {}, {}, now_.time_since_epoch() - task.began, {}});
    }
    for (const auto& one : finished) {
      running_.erase(one.key);
      ++outcome_.finished;
      receive(one);
    }
    const bool work_is_done = workload_.burst > 0 && !finished.empty() && running_.empty() && waiting_ == 0;
    if (work_is_done) outcome_.longest_wait = std::max(outcome_.longest_wait, now_ - burst_at_);
  }

  Board board_;
  Workload workload_;
  Care care_;
  State agent_;
  Time now_{1h};
  Time next_reading_ = now_;
  Time next_burst_ = now_;
  Time burst_at_;
  std::map<AttemptKey, Running> running_;
  std::vector<Acknowledged> acknowledged_;
  int waiting_ = 0;
  bool frozen_ = false;
  std::uint64_t n_ = 0;
  std::uint64_t given_ = 0;
  Outcome outcome_;
};

}  // namespace

Outcome simulate(const BoardModel& model, double air, const Workload& workload, Care care, Duration length) {
  return Run(model, air, workload, care).go(length);
}

}  // namespace edgefleet::simulation
