// A join token: the one string that lets a new machine become an agent of a fleet.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/core/result.hpp"

namespace edgefleet::join {

struct Token {
  std::string secret;                  // `efj_...`: what the coordinator keeps the digest of
  std::string ca_sha256;               // of the fleet's CA certificate (DER): 64 lower-case hexadecimal digits
  std::vector<std::string> addresses;  // HOST:PORT of the coordinator's port for agents, tried in this order

  friend bool operator==(const Token&, const Token&) = default;
};

inline constexpr std::string_view token_prefix = "efj_";
inline constexpr std::size_t longest_token = 4096;  // characters
inline constexpr std::size_t most_addresses = 16;

std::string encode(const Token& token);
// Spaces and line ends around it are ignored. Errors never contain the text: it is a secret.
Result<Token> decode(std::string_view text);

}  // namespace edgefleet::join
