#include "common/pki/key.hpp"

#include <openssl/ec.h>

#include "common/pki/openssl.hpp"

namespace edgefleet::pki {
namespace {

constexpr std::size_t most_key_text = 8192;

// Every SubjectPublicKeyInfo of P-256 begins with these bytes, and X and Y follow.
constexpr std::string_view head{
    "\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00\x04", 27};
constexpr std::size_t point = 64;

// Without this, OpenSSL asks for the passphrase on the terminal, and waits.
int refuse_passphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// The public half may stand beside the private one in a file, and need not belong to it.
bool fit(EVP_PKEY* key) {
  const OwnedKeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, key, nullptr));
  return context && EVP_PKEY_pairwise_check(context.get()) == 1;
}

}  // namespace

Result<PublicKey> PublicKey::from_der(std::string_view der) {
  const Errors errors;
  if (der.size() != head.size() + point || !der.starts_with(head)) {
    return unsupported("the key is not one of P-256 (prime256v1) with a named curve and an uncompressed point");
  }
  if (!object_of<OwnedKey, d2i_PUBKEY>(der)) return errors.because("the key is no point of P-256", ErrorKind::invalid);
  return PublicKey(std::string(der));
}

Result<PublicKey> PublicKey::of(const evp_pkey_st* key) {
  const Errors errors;
  if (key == nullptr) return unsupported("the key cannot be read, or is of a kind that OpenSSL does not know");
  return from_der(der_of<i2d_PUBKEY>(key));
}

std::string PublicKey::sha256() const { return sha256_hex(der_); }

Result<Key> Key::make() {
  const Errors errors;
  const std::shared_ptr<EVP_PKEY> key(EVP_EC_gen("P-256"), EVP_PKEY_free);
  if (!key) return errors.because("cannot make a private key");
  auto public_key = PublicKey::of(key.get());
  if (!public_key) return public_key.error().context("a new private key");
  return Key(key, std::move(*public_key));
}

Result<Key> Key::from_pem(std::string_view text) {
  if (text.size() > most_key_text) {
    return Error{"the private key: its text has more than " + std::to_string(most_key_text) + " bytes",
                 ErrorKind::too_large};
  }
  const Errors errors;
  const OwnedBio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  if (!bio) return errors.because("the private key: no memory to read it");
  bool encrypted = false;
  const std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse_passphrase, &encrypted),
                                      EVP_PKEY_free);
  if (encrypted) return invalid("the private key has a passphrase; store it without one");
  if (!key) return errors.because("the private key: its text holds none", ErrorKind::invalid);
  auto public_key = PublicKey::of(key.get());
  if (!public_key) return public_key.error().context("the private key");
  if (!fit(key.get())) return errors.because("the private key and its public half do not fit", ErrorKind::invalid);
  return Key(key, std::move(*public_key));
}

Result<std::string> Key::pem() const {
  const Errors errors;
  const OwnedBio bio(BIO_new(BIO_s_mem()));  // overwrites its memory at its end
  if (!bio || PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return errors.because("cannot write the private key");
  }
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);  // NOLINT: OpenSSL's type
  return std::string(text, static_cast<std::size_t>(size));
}

}  // namespace edgefleet::pki
