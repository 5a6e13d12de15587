// Certificate requests (PKCS#10): how a public key comes to the certification authority.
#pragma once

#include <string>
#include <string_view>

#include "common/pki/key.hpp"

namespace edgefleet::pki {

inline constexpr std::size_t most_request_text = 8192;

// PEM, signed by the key. The name (1 to 64 bytes) is for people who look at the request: the authority does not read
// it.
Result<std::string> make_request(const Key& key, const std::string& common_name);

// The public key, whose private half has signed the request. Everything else that stands there is ignored: whoever
// issues a certificate decides what is in it.
Result<PublicKey> read_request(std::string_view pem);

}  // namespace edgefleet::pki
