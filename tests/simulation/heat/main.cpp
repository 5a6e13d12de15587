// The table of docs/heat.md: ./dev sim-heat
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/simulation/heat/scenarios.hpp"

namespace {

using namespace edgefleet;
using namespace edgefleet::simulation;

const char* to_string(Care care) {
  switch (care) {
    case Care::none:
      return "no policy";
    case Care::policy:
      return "ours";
    case Care::firmware:
      return "`heat = \"firmware\"`";
  }
  return "";
}

double seconds(Duration length) { return std::chrono::duration<double>(length).count(); }

}  // namespace

int main() {
  std::printf("%.0f simulated hours each, air of %.0f C, a bare board.\n\n", seconds(simulated) / 3600, room);
  std::puts(
      "| board | work | policy | tasks done | core-hours | clock lowered, s | 80 C and more, s | highest | mean "
      "| stopped, s |");
  std::puts("|---|---|---|---|---|---|---|---|---|---|");
  for (const auto& row : all_rows()) {
    const Outcome& o = row.outcome;
    std::printf("| %s | %s | %s | %d | %.2f | %.0f | %.0f | %.1f | %.1f | %.0f |\n", row.board->name.c_str(),
                row.workload.name.c_str(), to_string(row.care), o.finished, o.core_hours, seconds(o.throttled),
                seconds(o.above), o.highest, o.mean, seconds(o.frozen));
  }
  return EXIT_SUCCESS;
}
