// How a machine joins a fleet: docs/security.md, "Joining". Blocking, until `stop`; for the owner of the lock of the
// work folder, before the agent works. Errors name the server and say what to do; none has a secret in it.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "common/core/time.hpp"
#include "common/join/token.hpp"
#include "edge-agent/identity/identity.hpp"

namespace edgefleet::agent {

using Tell = std::function<void(const std::string& line)>;  // progress, for people

struct JoinOptions {
  std::string work;
  join::Machine machine;
  Duration poll = std::chrono::seconds(2);
  Duration patience = std::chrono::hours(1);  // of a request that waits for a person
};

// The addresses of the token are tried in their order, until a server that the token's CA has certified for its address
// has answered; only such a server gets the secret.
Result<Identity> join_with_token(const join::Token& token, const JoinOptions& options, const Tell& tell,
                                 const std::stop_token& stop);

// `address`: HOST or HOST:PORT. `tell` gets the code to compare, and progress.
Result<Identity> join_by_code(const std::string& address, const JoinOptions& options, const Tell& tell,
                              const std::stop_token& stop);

// The SHA-256 of the CA of the fleet whose coordinator seems to be at `address`; nothing has been verified.
Result<std::string> ca_seen_at(const std::string& address, const std::stop_token& stop);

}  // namespace edgefleet::agent
