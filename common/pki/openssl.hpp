// OpenSSL's objects with an owner, its errors as words, and PEM. For the sources of this room only.
#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::pki {

template <auto release>
struct Release {
  template <typename Object>
  void operator()(Object* object) const {
    release(object);
  }
};
template <typename Object, auto release>
using Owned = std::unique_ptr<Object, Release<release>>;

// OPENSSL_free is a macro.
inline void release_block(void* block) { OPENSSL_free(block); }
template <typename Byte>
using OwnedBlock = Owned<Byte, release_block>;

using OwnedBio = Owned<BIO, BIO_free_all>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnedKeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using OwnedRequest = Owned<X509_REQ, X509_REQ_free>;
using OwnedCertificate = Owned<X509, X509_free>;
using OwnedExtension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using OwnedName = Owned<X509_NAME, X509_NAME_free>;
using OwnedCrl = Owned<X509_CRL, X509_CRL_free>;
using OwnedRevoked = Owned<X509_REVOKED, X509_REVOKED_free>;
using OwnedStore = Owned<X509_STORE, X509_STORE_free>;
using OwnedStoreContext = Owned<X509_STORE_CTX, X509_STORE_CTX_free>;
using OwnedGeneralName = Owned<GENERAL_NAME, GENERAL_NAME_free>;
using OwnedGeneralNames = Owned<GENERAL_NAMES, GENERAL_NAMES_free>;
using OwnedSubtree = Owned<GENERAL_SUBTREE, GENERAL_SUBTREE_free>;
using OwnedConstraints = Owned<NAME_CONSTRAINTS, NAME_CONSTRAINTS_free>;
using OwnedTime = Owned<ASN1_TIME, ASN1_TIME_free>;
using OwnedInteger = Owned<ASN1_INTEGER, ASN1_INTEGER_free>;
using OwnedNumber = Owned<BIGNUM, BN_free>;
using OwnedIa5 = Owned<ASN1_IA5STRING, ASN1_IA5STRING_free>;
using OwnedOctets = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;

// OpenSSL keeps a queue of errors for each thread. What is added to it during the life of this object is removed at its
// end, so that nobody later takes an error of ours for its own, as a TLS connection of the same thread would.
class Errors {
 public:
  Errors() { ERR_set_mark(); }
  Errors(const Errors&) = delete;
  Errors& operator=(const Errors&) = delete;
  Errors(Errors&&) = delete;
  Errors& operator=(Errors&&) = delete;
  ~Errors() { ERR_pop_to_mark(); }

  // `what` failed, and why, as far as OpenSSL says.
  [[nodiscard]] Error because(const std::string& what, ErrorKind kind = ErrorKind::internal) const;
};

inline const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());  // NOLINT: OpenSSL's type of a byte
}
inline std::string text_of(const unsigned char* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};  // NOLINT: OpenSSL's type of a byte
}
inline std::string_view view_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),  // NOLINT: OpenSSL's type of a byte
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

// The DER that one of the i2d functions writes; empty: it failed.
template <auto encode, typename Object>
std::string der_of(Object* object) {
  unsigned char* bytes = nullptr;
  const int size = encode(object, &bytes);
  if (size <= 0 || bytes == nullptr) return {};
  const OwnedBlock<unsigned char> owner(bytes);
  return text_of(bytes, static_cast<std::size_t>(size));
}

// What one of the d2i functions reads, if it is all of `der`; otherwise nullptr. The caller bounds the size.
template <typename Owner, auto decode>
Owner object_of(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  Owner object(decode(nullptr, &at, static_cast<long>(der.size())));  // NOLINT: OpenSSL's type
  if (at != bytes_of(der) + der.size()) return nullptr;
  return object;
}

// The bytes of the first block `-----BEGIN label-----` of a text; others before it are passed over. No passphrase is
// ever asked for, as OpenSSL's own readers do on the terminal. `what` is read, for the error.
Result<std::string> pem_block(std::string_view text, std::string_view label, std::size_t most, const std::string& what);
std::string pem_text(const char* label, const std::string& der);

std::string hex(std::string_view bytes);  // lower-case
std::string sha256_hex(std::string_view bytes);

}  // namespace edgefleet::pki
