// Who this agent is in a fleet that it has joined: WORK/identity.
//
//   agent.key     its private key, made before it asks to join
//   agent.crt     its certificate, renewed in place with the same key
//   ca.crt        the fleet's certification authority
//   joined.json   the answer to the join: name, fleet, addresses; written last, so with it the identity is complete
//
// An agent that joins anew prepares all of this in WORK/rejoin, so that it keeps what it has until the new one is
// whole. All functions block for the disk only. Those that write are for the owner of the lock of WORK.
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
  std::string ca_sha256;             // as join::Token has it
  std::int64_t certificate_end = 0;  // seconds since 1970
  std::int64_t certificate_life = 0;  // seconds from its issue to its end
  bool ephemeral = false;             // the coordinator forgets this agent when it is gone
};

// No value: this agent has not joined. Error: what is there cannot be used, with advice.
Result<std::optional<Identity>> load_identity(const std::string& work);

// The key that a join asks with: that of an unfinished join, or a new one. It is on the disk when this returns, so that
// after a power cut the same token still has the same answer.
Result<pki::Key> key_for_join(const std::string& work);
// A new one in its place: what was asked with the old one is given up.
Result<pki::Key> new_key_for_join(const std::string& work);
// The key that is there.
Result<pki::Key> load_key(const std::string& work);

// Checks that the answer is for this key and of its own CA, and keeps it, with the key. Durable; whole or not at all
// after a kill.
Result<Identity> keep_identity(const std::string& work, const pki::Key& key, const join::Joined& joined);
// A new certificate for the key that is there.
Status keep_renewed(const std::string& work, const join::Joined& joined);

// Of an ephemeral agent that its coordinator has forgotten: it joins with a new key.
Status forget_identity(const std::string& work);

// The work folder of those that join anew, below `work`; empty, or with the key of an unfinished attempt.
Result<std::string> rejoin_folder(const std::string& work);
// A complete identity in rejoin_folder() takes the place of the one in `work`; also one that a killed run has left
// there. False: there is none.
Result<bool> take_rejoined(const std::string& work);

}  // namespace edgefleet::agent
