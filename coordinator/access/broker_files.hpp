// The texts of a closed broker's files: an instance of Mosquitto of its own, with one listener for certificates and one
// for passwords. Pure functions; broker_generation.hpp writes the texts, and mosquitto/watch.sh runs a broker on them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "coordinator/access/role.hpp"

namespace edgefleet::coordinator {

// The names of the files of a generation; mosquitto/watch.sh knows them too.
namespace broker_file {
inline constexpr const char* configuration = "mosquitto.conf";
inline constexpr const char* agents_acl = "agents.acl";
inline constexpr const char* people_acl = "people.acl";
inline constexpr const char* passwords = "passwords";
inline constexpr const char* authority = "ca.crt";
inline constexpr const char* revoked = "crl.pem";
inline constexpr const char* certificate = "server.crt";
inline constexpr const char* key = "server.key";
}  // namespace broker_file

struct BrokerListener {
  std::string address;  // numeric; empty: all addresses of the machine
  int port = 0;
  int most_connections = 0;
};
// Both together must stay below the broker's limit of open files (LimitNOFILE=65536). Mosquitto 2.0.11 does not keep to
// most_connections for long: it counts people's connections that end twice, and forgets the bound at a SIGHUP.
struct BrokerListeners {
  BrokerListener agents{"", 8883, 20'000};  // by certificate: agents, the coordinator, `watch`
  BrokerListener people{"", 8884, 1'000};  // by password: people and programs
};
// mosquitto.conf. All its paths are relative to the watcher's folder and go through the link `live` in it.
Result<std::string> broker_configuration(const BrokerListeners& listeners);

// The names of certificates that are no agent's. The access list knows what the first two may do; the third one has
// nothing to do but what must be refused.
inline constexpr std::string_view coordinator_identity = "coordinator";
inline constexpr std::string_view watch_identity = "watch";
inline constexpr std::string_view canary_identity = "canary";
// Agents that are none, for the time of a trial (broker_acts.hpp).
inline constexpr std::array<std::string_view, 2> trial_agents = {"canary-1", "canary-2"};
// True: no agent and no person may get this name. A client id is the name, and ids are one namespace over all
// listeners; others would be taken for an `actor` in the audit.
bool reserved_name(std::string_view name);

// For the listener of certificates. It depends on the fleet only: who is an agent is a question of certificates.
std::string agents_acl(const FleetName& fleet);

// Topics that nobody reads and that an access list must keep from these two.
struct CanaryTopics {
  std::string of_agent;  // from a certificate's owner
  std::string of_person;  // from an access
};
CanaryTopics canary_topics(const FleetName& fleet);

struct Person {
  ClientName name;
  Role role = Role::observe;
  std::string password;  // as password_hash() makes it
  bool home_assistant = false;  // also the topics of Home Assistant's discovery
};
// For the listener of passwords. An empty, reserved or repeated name is an error.
Result<std::string> people_acl(const FleetName& fleet, const std::vector<Person>& people);
// `canary`: the password of canary_identity, which no access list has; empty: none.
Result<std::string> password_file(const std::vector<Person>& people, const std::string& canary = {});

// "$7$101$salt$hash", as Mosquitto's password file has it: PBKDF2 with SHA-512. The iterations are few, because a key
// is 256 random bits, and each costs the broker's only thread time at a login.
using PasswordSalt = std::array<unsigned char, 12>;  // another length is no valid line for Mosquitto
Result<std::string> password_hash(std::string_view key, const PasswordSalt& salt);

}  // namespace edgefleet::coordinator
