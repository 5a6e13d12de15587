#include "tests/simulation/heat/scenarios.hpp"

namespace edgefleet::simulation {

using namespace std::chrono_literals;

Workload short_bursts() {
  Workload w = short_endless();
  w.name = "short tasks in bursts";
  w.burst = 160;  // 200 s at full speed
  w.burst_every = 10min;
  return w;
}

Workload short_endless() {
  Workload w;
  w.name = "short tasks without end";
  return w;
}

Workload llm_process() {
  Workload w;
  w.name = "LLM, run by the agent";
  w.slots = 1;
  w.cores = 4;
  w.task = 10min;
  return w;
}

Workload llm_server() {
  Workload w = llm_process();
  w.name = "LLM, server beside it";
  w.freezes = false;
  return w;
}

std::vector<Row> all_rows() {
  std::vector<Row> rows;
  for (const BoardModel* board : {&pi4(), &pi3_plus()}) {
    for (const auto& workload : {short_bursts(), short_endless(), llm_process(), llm_server()}) {
      for (const Care care : {Care::none, Care::policy, Care::firmware}) {
        rows.push_back({board, workload, care, simulate(*board, room, workload, care, simulated)});
      }
    }
  }
  return rows;
}

}  // namespace edgefleet::simulation
