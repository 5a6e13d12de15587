// HKDF with SHA-256 (RFC 5869). For the sources of this room only.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace edgefleet::pki {

// `bytes` bytes; no value: OpenSSL has failed.
std::optional<std::string> derive(std::string_view secret, std::string_view salt, std::string_view purpose,
                                  std::size_t bytes);

}  // namespace edgefleet::pki
