// The files that `edgefleet-coordinator setup` makes in the data directory:
//
//   DIR/setup.json                     what was chosen; with it, nobody uses the fleet without a credential
//   DIR/ca/ca.crt, ca.key              the certification authority
//   DIR/tls/people.*, agents.*         the coordinator's two HTTP ports
//   DIR/tls/broker.*                   the broker's listeners
//   DIR/tls/coordinator.*, watch.*     what the coordinator shows the broker
//   DIR/tls/canary.*, revoked.*        what it tries the broker with: a certificate and an access without rights, and a
//                                      certificate that is revoked from the beginning
//
// Every file is whole or absent after a kill at any time, and what is missing is made by the next call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/pki/authority.hpp"

namespace edgefleet::coordinator {

struct Setup {
  FleetName fleet;
  // DNS names and addresses of this machine; the first one is what people see. They are in the certificates, and are
  // what a request may have as its Host.
  std::vector<std::string> names;
  std::string listen = "*:7001";  // for people and programs
  std::string agents_listen = "*:7002";  // for agents
  std::string broker_folder;  // absolute; mosquitto/watch.sh runs the broker from it
  std::string broker_run;  // absolute; that script's own folder
  std::string broker_address;  // that it listens on; empty: all
  int broker_agents_port = 8883;
  int broker_people_port = 8884;
  std::string broker_host{};  // name or address of the broker's machine; empty: this one
  std::string broker_from_here{};  // by which the coordinator reaches it; empty: broker_host, or localhost
  // For tests of renewal: no certificate but that of the authority lives longer. 0: as long as usual. It only shortens.
  std::int64_t certificate_seconds = 0;

  friend bool operator==(const Setup&, const Setup&) = default;
};

inline constexpr std::int64_t shortest_certificate_seconds = 30;
inline constexpr std::int64_t longest_certificate_seconds = 86'399;  // less than the shortest of the usual ones

std::string setup_path(const std::string& directory);
bool is_set_up(const std::string& directory);
Result<Setup> read_setup(const std::string& directory);
Status write_setup(const std::string& directory, const Setup& setup);

// How this machine reaches the broker, and how others do, who have reached the coordinator by `known_host`.
std::string broker_for_coordinator(const Setup& setup);
std::string broker_for_others(const Setup& setup, const std::string& known_host);

// Names that every machine has for itself, beside those of a setup.
std::vector<std::string> with_local_names(const std::vector<std::string>& names);
// All that a certificate of this fleet's servers names: also the broker's machine.
std::vector<std::string> certified_names(const Setup& setup);

Result<pki::Authority> load_authority(const std::string& directory);
bool has_authority(const std::string& directory);
Result<pki::Authority> make_authority(const std::string& directory, const Setup& setup);

// Another authority in place of one that was lost or stolen: prepared in DIR/ca.new, then put in the place of DIR/ca,
// which is removed. Between the two, the agents of the old one are forgotten (AccessDatabase). A run that was
// interrupted is completed by the same calls.
bool new_authority_prepared(const std::string& directory);
Status prepare_new_authority(const std::string& directory, const Setup& setup);
Status take_new_authority(const std::string& directory);
// What a run has left that was killed before its authority was prepared, or after it has got its place.
Status remove_unused_authorities(const std::string& directory);

struct CertificateFiles {
  std::string certificate;
  std::string key;
};
// `name`: people, agents, broker, coordinator, watch, canary or revoked.
CertificateFiles certificate_files(const std::string& directory, const std::string& name);
std::string ca_file(const std::string& directory);

// An access to the broker that is in no access list.
struct CanaryAccess {
  std::string key;
  std::string password;  // its line's end in the broker's password file
};
// Makes it if it is absent or damaged.
Result<CanaryAccess> canary_access(const std::string& directory);

// Makes or renews what is missing, damaged, of another authority, for other names, or in the last third of its time.
// Returns the names of those that are new. `now`: seconds since 1970. A key is kept, so a pair of files always fits.
Result<std::vector<std::string>> make_certificates(const std::string& directory, const Setup& setup,
                                                   const pki::Authority& authority, std::int64_t now);

// The base of the paths of a certificate that is needed for moments; what a killed process has left of them is removed.
std::string brief_certificate(const std::string& directory, const std::string& id);
void remove_brief_certificates(const std::string& directory);

Result<std::string> read_text(const std::string& path, std::size_t most = 1UL << 20U);  // bytes

}  // namespace edgefleet::coordinator
