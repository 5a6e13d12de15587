// edgefleet-load-agents: the simulated agents of load.py. Prints its counters every second, one JSON object per line.
#include <CLI/CLI.hpp>
#include <iostream>

#include "common/protocol/json.hpp"
#include "common/runtime/signals.hpp"
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
  app.add_option("--host", host, "host of the broker")->capture_default_str();
  app.add_option("--port", port, "port of the broker")->capture_default_str();
  app.add_option("--agents", agents, "number of agents")->capture_default_str()->check(CLI::Range(1, 100'000));
  app.add_option("--slots", slots, "slots per agent")->capture_default_str()->check(CLI::Range(1, 1024));
  app.add_option("--seed", seed, "seed of the random numbers")->capture_default_str();
  app.add_option("--prefix", prefix, "prefix of the names")->capture_default_str();
  app.add_option("--capability", capability, "capability that the agents offer")->capture_default_str();
  block_signals();
  CLI11_PARSE(app, argc, argv);
  const auto offered = Capability::parse(capability);
  if (!offered || !AgentName::parse(prefix + "-1")) {
    std::cerr << "edgefleet-load-agents: --prefix or --capability is not valid\n";
    return 2;
  }
  const FleetName home = *FleetName::parse("home");
  const Setting setting{home, host, port, *offered, slots, protocol::Topics(home)};
  try {
    std::atomic<bool> stop = false;
    const Signals signals([&] { stop = true; });
    Fleet fleet(setting, prefix, agents, seed);
    fleet.run(stop, [&] { report(fleet); });
    report(fleet);
  } catch (const std::exception& failure) {
    std::cerr << "edgefleet-load-agents: " << failure.what() << '\n';
    return 1;
  }
}
