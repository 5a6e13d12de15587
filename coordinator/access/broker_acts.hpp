// What a broker must refuse: all that its access lists (broker_grants.hpp) give to nobody, or to somebody else. Pure;
// the coordinator tries it against the real broker.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/time.hpp"
#include "coordinator/access/role.hpp"

namespace edgefleet::coordinator {

// Who tries.
struct Actor {
  std::string name;
  std::optional<Role> role;  // none: it is an agent
};
std::string describe(const Actor& actor);  // "an agent", "the role chat"

// Topics that the actor must not write, those of `other`, an agent or a person, among them. Nobody but the coordinator
// and the owner of `other` reads them.
std::vector<std::string> forbidden_topics(const FleetName& fleet, const Actor& actor, const std::string& other);
// The topics that the actor may write.
std::vector<std::string> own_topics(const FleetName& fleet, const Actor& actor);
// What somebody would subscribe to who wants to read all.
std::vector<std::string> greedy_filters(const FleetName& fleet);
bool may_read(const FleetName& fleet, const Actor& actor, std::string_view topic);

// What was found by trying.
struct BrokerTrial {
  WallTime at;
  std::size_t tried = 0;  // acts
  std::vector<std::string> passes;  // for people: "an agent may write edgefleet/v1/home/coordinator/status"
  std::vector<std::string> unknown;  // what could not be tried, and why

  friend bool operator==(const BrokerTrial&, const BrokerTrial&) = default;
};
inline constexpr std::size_t most_findings = 100;  // of each of the two lists

}  // namespace edgefleet::coordinator
