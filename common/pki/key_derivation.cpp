#include "common/pki/key_derivation.hpp"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <array>

#include "common/pki/openssl.hpp"

namespace edgefleet::pki {
namespace {

using OwnedKdf = Owned<EVP_KDF, EVP_KDF_free>;
using OwnedKdfContext = Owned<EVP_KDF_CTX, EVP_KDF_CTX_free>;

// OpenSSL's parameters are not const, and it does not change them.
OSSL_PARAM octets(const char* name, std::string_view bytes) {
  return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(bytes.data()), bytes.size());  // NOLINT
}

}  // namespace

std::optional<std::string> derive(std::string_view secret, std::string_view salt, std::string_view purpose,
                                  std::size_t bytes) {
  const OwnedKdf kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr));
  const OwnedKdfContext context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  std::string digest = "SHA256";
  const std::array<OSSL_PARAM, 5> parameters{OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest.data(), 0),
                                             octets(OSSL_KDF_PARAM_KEY, secret), octets(OSSL_KDF_PARAM_SALT, salt),
                                             octets(OSSL_KDF_PARAM_INFO, purpose), OSSL_PARAM_construct_end()};
  std::string derived(bytes, '\0');
  auto* out = reinterpret_cast<unsigned char*>(derived.data());  // NOLINT: OpenSSL's type of a byte
  if (!context || EVP_KDF_derive(context.get(), out, bytes, parameters.data()) != 1) return std::nullopt;
  return derived;
}

}  // namespace edgefleet::pki
