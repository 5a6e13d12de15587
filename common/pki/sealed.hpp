// A text that only the owner of a fleet's recovery key can read.
//
//   "edgefleet-sealed-1\n"   19 bytes
//   the recovery key's id     8 bytes, the first of the SHA-256 of its public half
//   a public key             32 bytes, X25519, made for this text only
//   the text, encrypted      as long as the text: AES-256-GCM
//   a tag                    16 bytes; it covers all that stands before it
//
// Key and nonce of AES are 44 bytes of HKDF-SHA256: of the secret that both X25519 keys share, with the recovery key's
// `sender` as salt, for "edgefleet-sealed-1", the new and the recovery public key. So nobody who has only the file, or
// also the recovery public key, can write one that is taken for a backup of this fleet.
#pragma once

#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/pki/recovery_key.hpp"

namespace edgefleet::pki {

inline constexpr std::size_t longest_sealed = 512UL << 20U;  // bytes

Result<std::string> seal(const RecoveryPublicKey& key, std::string_view text);
// The id of the recovery key that opens it. Error: it is no sealed text at all.
Result<std::string> sealed_for(std::string_view sealed);
// Errors of kind invalid: it is no sealed text, is cut or changed, or is sealed for another recovery key.
Result<std::string> unseal(const RecoverySecret& secret, std::string_view sealed);

}  // namespace edgefleet::pki
