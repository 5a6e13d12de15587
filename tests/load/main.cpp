// edgefleet-load-agents: the simulated agents of load.py. Prints its counters every second, one JSON object per line.
#include <CLI/CLI.hpp>
#include <iostream>

#include "common/mqtt/address.hpp"
#include "common/protocol/json.hpp"
#include "common/runtime/signals.hpp"
#include "edge-agent/identity/identity.hpp"
#include "tests/load/fleet.hpp"

using namespace edgefleet;
using namespace edgefleet::load;

namespace {

void report(Fleet& fleet) {
  const Counters& c = fleet.counters();
  std::string line;
  {
    json::ObjectWriter object(line);
    const std::pair<const char*, std::uint64_t> figures[] = {
        {"up", c.up},           {"connects", c.connects}, {"losses", c.losses},
        {"beats", c.beats},     {"sent", c.sent},         {"received", c.received},
        {"dropped", c.dropped}, {"started", c.started},   {"finished", c.finished},
        {"stopped", c.stopped}, {"returned", c.returned}, {"spooled", c.spooled},
        {"unknown", c.unknown}, {"bad", c.bad},
    };
    for (const auto& [name, value] : figures) object.unsigned_integer(name, value);
    object.integer("first_start_ns", c.first_start_ns);
    object.number("lag_ms", std::chrono::duration<double, std::milli>(fleet.take_lag()).count());
  }
  std::cout << line << std::endl;  // flushed: load.py waits for the line
}

std::vector<AgentName> names_of(const std::string& prefix, std::size_t agents) {
  std::vector<AgentName> names;
  for (std::size_t i = 1; i <= agents; ++i) names.push_back(AgentName::parse(prefix + "-" + std::to_string(i)).value());
  return names;
}

// The agents of a closed fleet: their certificates, and the address of their broker.
struct Enrolled {
  std::vector<Who> agents;
  mqtt::Address broker;
  FleetName fleet;
};

Result<Enrolled> load_enrolled(const std::string& folder, const std::vector<AgentName>& names) {
  Enrolled all;
  for (const auto& name : names) {
    const std::string work = folder + "/" + name.str();
    const auto identity = agent::load_identity(work);
    if (!identity) return identity.error();
    if (!*identity || (*identity)->name != name.str()) return Error{work + " has no identity of " + name.str()};
    all.broker = mqtt::parse_address((*identity)->broker).value();
    all.fleet = FleetName::parse((*identity)->fleet).value();
    const agent::IdentityFiles files(work);
    all.agents.push_back({name, {files.ca(), files.certificate(), files.key()}});
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Many simulated agents, each on its own MQTT connection.", "edgefleet-load-agents");
  std::string host = "127.0.0.1";
  int port = 1883;
  std::size_t agents = 100;
  int slots = 2;
  std::uint64_t seed = 1;
  std::string prefix = "load";
  std::string capability = "echo";
  std::string identities;
  app.add_option("--host", host, "host of the broker")->capture_default_str();
  app.add_option("--port", port, "port of the broker")->capture_default_str();
  app.add_option("--agents", agents, "number of agents")->capture_default_str()->check(CLI::Range(1, 100'000));
  app.add_option("--slots", slots, "slots per agent")->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--seed", seed, "seed of the random numbers")->capture_default_str();
  app.add_option("--prefix", prefix, "prefix of the names")->capture_default_str();
  app.add_option("--identities", identities,
                 "folder of the work folders of enrolled agents, for a closed fleet; --host and --port are not used");
  app.add_option("--capability", capability, "capability that the agents offer")->capture_default_str();
  block_signals();
  CLI11_PARSE(app, argc, argv);
  const auto offered = Capability::parse(capability);
  if (!offered || !AgentName::parse(prefix + "-1")) {
    std::cerr << "edgefleet-load-agents: --prefix or --capability is not valid\n";
    return 2;
  }
  const auto names = names_of(prefix, agents);
  Enrolled all{{}, {host, static_cast<std::uint16_t>(port), false}, *FleetName::parse("home")};
  if (identities.empty()) {
    for (const auto& name : names) all.agents.push_back({name});
  } else {
    auto loaded = load_enrolled(identities, names);
    if (!loaded) {
      std::cerr << "edgefleet-load-agents: " << loaded.error().message << '\n';
      return 1;
    }
    all = std::move(*loaded);
  }
  const Setting setting{all.fleet, all.broker.host, all.broker.port, *offered, slots, protocol::Topics(all.fleet)};
  try {
    std::atomic<bool> stop = false;
    const Signals signals([&] { stop = true; });
    Fleet fleet(setting, all.agents, seed);
    fleet.run(stop, [&] { report(fleet); });
    report(fleet);
  } catch (const std::exception& failure) {
    std::cerr << "edgefleet-load-agents: " << failure.what() << '\n';
    return 1;
  }
}
