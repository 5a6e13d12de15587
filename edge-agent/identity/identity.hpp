// Who this agent is in a fleet that it has joined: WORK/identity.
//
//   agent.key     its private key, made before it asks to join
//   agent.crt     its certificate, renewed in place with the same key
//   ca.crt        the fleet's certification authority
//   joined.json   the answer to the join: name, fleet, addresses; written last, so with it the identity is complete
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/core/result.hpp"
#include "common/join/messages.hpp"
#include "common/pki/certificate.hpp"
#include "common/pki/key.hpp"

namespace edgefleet::agent {

// Paths below one folder.
struct IdentityFiles {
  explicit IdentityFiles(const std::string& work) : folder(work + "/identity") {}
  std::string folder;
  [[nodiscard]] std::string key() const { return folder + "/agent.key"; }
  [[nodiscard]] std::string certificate() const { return folder + "/agent.crt"; }
  [[nodiscard]] std::string ca() const { return folder + "/ca.crt"; }
  [[nodiscard]] std::string joined() const { return folder + "/joined.json"; }
};

struct Identity {
  std::string name;
  std::string fleet;
  std::string broker;       // mqtts://HOST:PORT
  std::string coordinator;  // https://HOST:PORT, of the port for agents
  std::int64_t certificate_end = 0;  // seconds since 1970
};

// No value: this agent has not joined. Error: what is there cannot be used, with advice.
Result<std::optional<Identity>> load_identity(const std::string& work);

// The key that a join asks with: that of an unfinished join, or a new one. It is on the disk when this returns, so that
// after a power cut the same token still has the same answer.
Result<pki::Key> key_for_join(const std::string& work);

// Checks that the answer is for this key and of its own CA, and keeps it. Durable; whole or not at all after a kill.
Result<Identity> keep_identity(const std::string& work, const pki::Key& key, const join::Joined& joined);
// A new certificate for the key that is there.
Status keep_renewed(const std::string& work, const join::Joined& joined);
// Forgets all of it, so that the agent can join anew with a new key.
Status forget_identity(const std::string& work);

}  // namespace edgefleet::agent
