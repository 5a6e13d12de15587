// What each identity may do at the broker: one table for its access lists (broker_files.hpp), and for what is tried
// against it (broker_acts.hpp).
#pragma once

#include <string_view>
#include <vector>

#include "coordinator/access/role.hpp"

namespace edgefleet::coordinator {

// With the identity's name in place of {agent} and {client}.
struct Grant {
  std::string_view access;  // read, write, readwrite, deny
  std::string_view pattern;  // below the fleet's root
};
using Grants = std::vector<Grant>;

// For every certificate, also the coordinator's and `watch`. Each of the topics to write is one topic: a wildcard there
// would be unbounded retained memory. Those to read without a name are for all: Mosquitto takes such a pattern, with a
// warning in its log.
const Grants& agents_grants();
// It has to see who coordinates, and nothing else: what the patterns give it as an agent of its name is taken back.
const Grants& watch_grants();
// Of people and programs.
Grants grants_of(Role role);

}  // namespace edgefleet::coordinator
