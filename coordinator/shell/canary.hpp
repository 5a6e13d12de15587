// Canaries: acts that the broker must refuse, tried against the real one. If one gets through, its access lists or its
// list of revoked certificates do not hold (Mosquitto drops them all after a reload with one bad file).
#pragma once

#include <string>

#include "common/mqtt/port.hpp"

namespace edgefleet::coordinator {

struct Canary {
  std::string what;  // for people: "an agent writes another agent's topic"
  mqtt::Options client;
  std::string topic;  // that it must not write, and that nobody reads; empty: it must not even connect
};

enum class CanaryEnd {
  refused,
  passed,
  unknown  // for example, the broker does not run
};

// Blocking; any thread but the loop's.
CanaryEnd try_canary(const Canary& canary, const mqtt::MakeClient& make_client, Duration patience);

}  // namespace edgefleet::coordinator
