#include "coordinator/new_authority.hpp"

#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <thread>

#include "common/core/counts.hpp"
#include "common/core/joined.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_generation.hpp"
#include "coordinator/access/enrolment.hpp"
#include "coordinator/access/registry.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration broker_patience = std::chrono::seconds(5);  // mosquitto/watch.sh looks once a second
constexpr const char* why_stopped = "the certification authority is being replaced by `edgefleet-coordinator setup`";
constexpr std::size_t most_names_shown = 20;

bool broker_runs(const Setup& setup) {
  const auto state = read_text(setup.broker_run + "/state");
  return state && state->starts_with("broker=running\n");
}

Status stop_running_broker(const Setup& setup) {
  if (!broker_runs(setup)) return success();
  if (auto asked = stop_broker({setup.broker_folder, {}}, why_stopped); !asked) return asked;
  for (const Time until = monotonic_now() + broker_patience; broker_runs(setup) && monotonic_now() < until;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return success();
}

Status confirm(const std::string& plan) {
  std::cout << plan << std::flush;
  if (::isatty(STDIN_FILENO) != 1) return invalid("there is no terminal to ask on; pass --yes to do this");
  std::cout << "Type yes to do this: " << std::flush;
  std::string answer;
  std::getline(std::cin, answer);
  return answer == "yes" ? success() : Status(invalid("nothing was changed"));
}

}  // namespace

Result<std::string> plan_of_new_authority(const std::string& data, const Setup& setup) {
  const auto database = AccessDatabase::open(data);
  if (!database) return database.error();
  auto agents = Enrolment::names(**database);
  if (!agents) return agents.error();
  const auto accesses = Registry::open(**database);
  if (!accesses) return accesses.error();
  const std::size_t all = agents->size();
  if (all > most_names_shown) {
    agents->resize(most_names_shown);
    agents->emplace_back("...");
  }
  return "A new certification authority for fleet " + setup.fleet.str() +
         ":\n"
         "- the present one, with its key, is removed from " +
         data +
         "/ca\n"
         "- " +
         counted(all, "agent has", "agents have") + " a certificate of it" +
         (all == 0 ? "" : " (" + joined(*agents, ", ") + ")") +
         ": each is refused from now on, until it joins anew with a new join token "
         "(`edgefleet-agent join --again --token-file FILE`); the tokens that exist end\n"
         "- " +
         counted((*accesses)->accesses().size(), "access stays, with its key", "accesses stay, with their keys") +
         "; on other machines, people log in again (`edgefleet login URL`), because their fleet has a new fingerprint\n"
         "- tasks, artifacts and the recovery key stay; backups made before have the old authority: make a new one\n";
}

Status replace_authority(const std::string& data, const Setup& setup, bool yes) {
  if (!new_authority_prepared(data)) {
    if (!is_set_up(data)) return invalid("there is no setup in " + data + ", so there is nothing to replace");
    const auto plan = plan_of_new_authority(data, setup);
    if (!plan) return plan.error();
    if (yes) std::cout << *plan << std::flush;
    if (auto agreed = yes ? success() : confirm(*plan); !agreed) return agreed;
  }
  if (auto prepared = prepare_new_authority(data, setup); !prepared) return prepared;
  if (auto stopped = stop_running_broker(setup); !stopped) return stopped;
  const auto database = AccessDatabase::open(data);
  if (!database) return database.error();
  if (auto forgotten = Enrolment::forget_all(**database, std::string(actor::setup)); !forgotten) return forgotten;
  return take_new_authority(data);
}

Status release_stopped_broker(const Setup& setup) {
  const auto why = read_text(setup.broker_folder + "/stop");
  if (!why || *why != std::string(why_stopped) + "\n") return success();
  return release_broker(setup.broker_folder);
}

}  // namespace edgefleet::coordinator
