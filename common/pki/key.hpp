// Keys of P-256, the one kind that a fleet uses.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace edgefleet::pki {

// A point of P-256, as its SubjectPublicKeyInfo in DER. Only the usual form is taken (named curve, uncompressed point),
// so that equal keys have equal bytes. Any thread.
class PublicKey {
 public:
  static Result<PublicKey> from_der(std::string_view der);
  static Result<PublicKey> of(const evp_pkey_st* key);  // nullptr is an error

  [[nodiscard]] const std::string& der() const { return der_; }
  // Of the DER, 64 lower-case hexadecimal digits: an id of the key.
  [[nodiscard]] std::string sha256() const;
  friend bool operator==(const PublicKey&, const PublicKey&) = default;

 private:
  explicit PublicKey(std::string der) : der_(std::move(der)) {}
  std::string der_;
};

// A private key. Copies share it; nothing changes it. Any thread.
class Key {
 public:
  static Result<Key> make();
  // PKCS#8 (`BEGIN PRIVATE KEY`) or `BEGIN EC PRIVATE KEY`, without a passphrase. The text stays in memory as long as
  // its owner keeps it; a caller that must not leave it there overwrites it.
  static Result<Key> from_pem(std::string_view text);

  // PKCS#8, not encrypted. Secret: what was said of from_pem() is true of it too.
  [[nodiscard]] Result<std::string> pem() const;
  [[nodiscard]] const PublicKey& public_key() const { return public_key_; }
  // For functions of OpenSSL; never nullptr, and owned by this object.
  [[nodiscard]] evp_pkey_st* handle() const { return key_.get(); }

 private:
  Key(std::shared_ptr<evp_pkey_st> key, PublicKey public_key)
      : key_(std::move(key)), public_key_(std::move(public_key)) {}

  std::shared_ptr<evp_pkey_st> key_;
  PublicKey public_key_;
};

}  // namespace edgefleet::pki
