// `./dev sim`: the simulated world from the command line.
#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>

#include "tests/simulation/scenario.hpp"

using namespace edgefleet;
using namespace edgefleet::simulation;

namespace {

void print(const World& world, const Scenario& scenario) {
  const auto& totals = world.totals();
  const double minutes = std::chrono::duration<double, std::ratio<60>>(scenario.time).count();
  std::cout << "seed " << scenario.seed << ": " << scenario.agents << " agents, " << minutes << " minutes of faults\n"
            << "  tasks: " << world.accepted().size() << " accepted, " << totals.runs << " runs;";
  const auto states = world.states();
  for (std::size_t i = 0; i < states.size(); ++i) {
    if (states.at(i) > 0) std::cout << ' ' << states.at(i) << ' ' << to_string(static_cast<TaskState>(i));
  }
  std::cout << "\n  faults: " << totals.lost << " of " << totals.messages << " messages lost, " << totals.links_cut
            << " links cut, " << totals.agent_crashes << " agents and " << totals.coordinator_crashes
            << " coordinators crashed, " << totals.failed_commits << " failed commits, " << totals.paused_for_heat
            << " agents paused for heat, " << totals.drains << " drained, " << totals.reloads << " reconfigured, "
            << totals.restores << " stores restored\n"
            << "  shared drains: " << totals.cut_retries << " crashes while a commit was retried, "
            << totals.kept_before_cut << " of them after the commit had succeeded; " << totals.keys_twice_in_drain
            << " keys twice in one drain, " << totals.keys_repeated << " repeated later\n"
            << "  " << world.innocents_failed().size() << " tasks failed because of lost or failed attempts\n";
}

// One line that differs if anything in the run differs: it shows whether a change of the code has changed behaviour.
void print_line(const World& world, const Scenario& scenario) {
  std::string all;
  for (const auto& [id, task] : world.accepted()) all += world.describe(id) + '\n';
  const auto& totals = world.totals();
  std::cout << scenario.seed << ' ' << world.accepted().size() << ' ' << totals.runs << ' ' << totals.messages << ' '
            << totals.lost << ' ' << totals.links_cut << ' ' << totals.agent_crashes << ' '
            << totals.coordinator_crashes << ' ' << totals.failed_commits << ' ' << totals.paused_for_heat << ' '
            << totals.drains << ' ' << totals.restores << ' ' << totals.cut_retries << ' ' << totals.kept_before_cut
            << ' ' << totals.keys_twice_in_drain << ' ' << totals.keys_repeated << ' '
            << world.innocents_failed().size();
  for (const std::size_t count : world.states()) std::cout << ' ' << count;
  std::cout << ' ' << std::hash<std::string>{}(all) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("The cores of a coordinator and of agents in simulated time, with frequent faults.", "dev sim");
  Scenario scenario;
  int runs = 1;
  double hours = 0.1;
  bool totals = false;
  app.add_option("--seed", scenario.seed, "seed of the random numbers: the same seed gives the same run")
      ->capture_default_str();
  app.add_option("--runs", runs, "number of runs, each with the next seed")->check(CLI::Range(1, 10'000'000));
  app.add_option("--hours", hours, "simulated time with faults, in hours")->check(CLI::Range(0.001, 10'000.0));
  app.add_option("--agents", scenario.agents, "number of agents")->check(CLI::Range(1, 100'000));
  app.add_flag("--totals", totals, "print one line of numbers for each seed, to compare two versions of the code");
  CLI11_PARSE(app, argc, argv);
  scenario.time = Duration{static_cast<std::int64_t>(hours * 3600e9)};
  bool well = true;
  for (int run = 0; run < runs; ++run, ++scenario.seed) {
    const World world = play(scenario);
    const auto wrong = problems(world);
    if (totals) print_line(world, scenario);
    if ((runs == 1 && !totals) || !wrong.empty()) print(world, scenario);
    for (std::size_t i = 0; i < wrong.size() && i < 20; ++i) std::cout << "  WRONG: " << wrong[i] << '\n';
    well = well && wrong.empty();
  }
  std::cout << (well ? "no violations\n" : "violations: run the seeds above again to repeat them\n");
  return well ? 0 : 1;
}
