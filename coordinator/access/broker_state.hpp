// What mosquitto/watch.sh reports about the broker, in RUN/state.
#pragma once

#include <string>
#include <string_view>

namespace edgefleet::coordinator {

struct BrokerState {
  std::string broker;      // running, stopped (by a file), down; empty: nothing is known
  std::string generation;  // that it works with; ids begin with their number, so a later one is greater
  std::string refused;     // the newest one, if it was not taken
  std::string why;         // for people

  friend bool operator==(const BrokerState&, const BrokerState&) = default;
};

// Lines and keys that it does not know are skipped.
BrokerState parse_broker_state(std::string_view text);
// An absent file: nothing is known.
BrokerState read_broker_state(const std::string& run);

}  // namespace edgefleet::coordinator
