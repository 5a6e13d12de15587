// What a machine that joins a fleet and the coordinator send each other, as JSON over HTTP. docs/security.md,
// "Joining". Decoders take text from outside.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace edgefleet::join {

// The paths of the coordinator's port for agents.
inline constexpr std::string_view ca_path = "/api/v1/ca";                // GET: the CA certificate, PEM
inline constexpr std::string_view join_path = "/api/v1/join";            // POST WithToken: Joined
inline constexpr std::string_view requests_path = "/api/v1/join/requests";  // POST Commitment: Challenge
// POST requests_path/ID Opening: 202. GET requests_path/ID: 202 it waits, 200 Joined, 403 refused.
inline constexpr std::string_view renew_path = "/api/v1/renew";  // POST Renewal, with the present certificate: Joined
inline constexpr std::string_view crl_path = "/api/v1/crl";  // GET, with a certificate: the CRL, PEM

// Who asks.
struct Machine {
  std::string name;  // wanted
  bool named = false;  // by a person; otherwise it is the host's, and the coordinator may add a suffix
  std::string id;  // 4 or more letters and digits that tell machines of one host name apart; may be empty
  friend bool operator==(const Machine&, const Machine&) = default;
};

struct WithToken {
  std::string secret;  // Token::secret
  std::string request;  // a certificate request, PEM
  Machine machine;
};

// The code that a person compares depends on both nonces, on the key and on the CA; because the machine commits to its
// own before it learns the other's, nobody in between can choose them until two codes are equal.
struct Commitment {
  std::string commitment;  // commitment_of() the key and the nonce of this machine
  Machine machine;
};
struct Challenge {
  std::string id;  // of this request: 32 letters and digits
  std::string nonce;  // of the coordinator, 64 hexadecimal digits
  std::string ca;  // PEM
};
struct Opening {
  std::string nonce;  // of the machine, 64 hexadecimal digits
  std::string request;  // a certificate request, PEM
};

struct Renewal {
  std::string request;
};

struct Joined {
  std::string name;  // of the agent
  std::string fleet;
  std::string certificate;  // PEM
  std::string ca;  // PEM
  std::string broker;  // mqtts://HOST:PORT
  std::string coordinator;  // https://HOST:PORT, of the port for agents
  std::int64_t certificate_life = 365LL * 86'400;  // seconds from its issue to its end
  bool ephemeral = false;  // the coordinator forgets this agent when it is gone
};

std::string encode(const WithToken& message);
std::string encode(const Commitment& message);
std::string encode(const Challenge& message);
std::string encode(const Opening& message);
std::string encode(const Renewal& message);
std::string encode(const Joined& message);

Result<WithToken> decode_with_token(std::string_view body);
Result<Commitment> decode_commitment(std::string_view body);
Result<Challenge> decode_challenge(std::string_view body);
Result<Opening> decode_opening(std::string_view body);
Result<Renewal> decode_renewal(std::string_view body);
Result<Joined> decode_joined(std::string_view body);

// ---- the code that both sides show

std::string commitment_of(const std::string& key_sha256, const std::string& machine_nonce);
// "abcd-2345": 40 bits.
std::string code_of(const std::string& ca_sha256, const std::string& key_sha256, const std::string& machine_nonce,
                    const std::string& coordinator_nonce);
// As a person types it: capital letters, spaces and a missing '-' are the same code. Empty: it is none.
std::string normal_code(std::string_view typed);

}  // namespace edgefleet::join
