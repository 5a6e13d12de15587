#include "common/pki/key.hpp"

#include "common/pki/openssl.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/common/pki/foreign.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;
using namespace edgefleet::pki::test;

namespace {

std::string pem_of(EVP_PKEY* key, const char* passphrase = nullptr) {
  const OwnedBio bio(BIO_new(BIO_s_mem()));
  const auto length = passphrase == nullptr ? 0 : static_cast<int>(std::string(passphrase).size());
  must(PEM_write_bio_PKCS8PrivateKey(bio.get(), key, passphrase == nullptr ? nullptr : EVP_aes_128_cbc(), passphrase,
                                     length, nullptr, nullptr) == 1);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

bool says(const Error& error, const std::string& words) {
  INFO(error.message);
  return error.message.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a private key is the same after it was written as PKCS#8 and read") {
  const auto key = Key::make();
  REQUIRE(key.ok());
  const auto pem = key->pem();
  REQUIRE(pem.ok());
  CHECK(pem->starts_with("-----BEGIN PRIVATE KEY-----\n"));
  const auto read = Key::from_pem(*pem);
  REQUIRE(read.ok());
  CHECK(read->public_key() == key->public_key());
  CHECK(*read->pem() == *pem);
}

TEST_CASE("two private keys are different, and so are the ids of their public keys") {
  const auto first = Key::make();
  const auto second = Key::make();
  CHECK_FALSE(first->public_key() == second->public_key());
  CHECK(first->public_key().sha256() != second->public_key().sha256());
  CHECK(first->public_key().sha256().size() == 64);
}

TEST_CASE("a public key is the same after it was written in DER and read") {
  const auto key = some_key();
  CHECK(key.der().size() == 91);
  const auto read = PublicKey::from_der(key.der());
  REQUIRE(read.ok());
  CHECK(*read == key);
}

TEST_CASE("a public key that is cut, too long, or no point of the curve is refused") {
  const std::string der = some_key().der();
  for (std::size_t size = 0; size < der.size(); ++size) CHECK_FALSE(PublicKey::from_der(der.substr(0, size)).ok());
  CHECK_FALSE(PublicKey::from_der(der + '\0').ok());
  std::string off_curve = der;
  off_curve.back() = static_cast<char>(off_curve.back() ^ 1);
  const auto read = PublicKey::from_der(off_curve);
  REQUIRE_FALSE(read.ok());
  CHECK(says(read.error(), "the key is no point of P-256"));
}

TEST_CASE("private keys of other kinds and forms are refused") {
  const OwnedKey keys[]{rsa_key(), curve_key("P-384"), curve_key("secp256k1"), ed25519_key(), explicit_key()};
  for (const OwnedKey& key : keys) {
    const auto read = Key::from_pem(pem_of(key.get()));
    REQUIRE_FALSE(read.ok());
    CHECK(says(read.error(), "the private key: the key is not one of P-256"));
  }
}

TEST_CASE("a private key with a passphrase is refused, and nobody is asked for it") {
  const auto read = Key::from_pem(pem_of(curve_key("P-256").get(), "secret"));
  REQUIRE_FALSE(read.ok());
  CHECK(says(read.error(), "has a passphrase"));
}

TEST_CASE("a private key beside the public half of another one is refused") {
  const auto pem = *Key::make()->pem();
  auto der = *pem_block(pem, "PRIVATE KEY", pem.size(), "this key");
  const auto other = some_key().der();
  der.replace(der.size() - 64, 64, other, other.size() - 64, 64);
  const auto read = Key::from_pem(pem_text("PRIVATE KEY", der));
  REQUIRE_FALSE(read.ok());
  CHECK(says(read.error(), "do not fit"));
}

TEST_CASE("text that holds no private key, or a part of one, is refused") {
  const auto pem = *Key::make()->pem();
  for (std::size_t size = 0; size + 2 < pem.size(); ++size) CHECK_FALSE(Key::from_pem(pem.substr(0, size)).ok());
  for (const char* text : {"", "rubbish", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"}) {
    CHECK_FALSE(Key::from_pem(text).ok());
  }
  const auto large = Key::from_pem(std::string(8193, '\n') + pem);
  REQUIRE_FALSE(large.ok());
  CHECK(large.error().kind == ErrorKind::too_large);
}

TEST_CASE("errors of OpenSSL do not stay in the thread's queue") {
  ERR_clear_error();
  CHECK_FALSE(Key::from_pem("rubbish").ok());
  CHECK_FALSE(Certificate::from_pem("rubbish").ok());
  CHECK_FALSE(Certificate::from_der("rubbish").ok());
  CHECK(ERR_peek_error() == 0);
}
