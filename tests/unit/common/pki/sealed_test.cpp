#include "common/pki/sealed.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;

namespace {

struct Fleet {
  RecoverySecret secret = *RecoverySecret::make();
  RecoveryPublicKey key = *secret.public_half();
};

bool says(const Error& error, const std::string& words) {
  INFO(error.message);
  return error.message.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a sealed text is opened by its recovery key, whatever its size") {
  const Fleet fleet;
  for (const std::size_t size : {0UL, 1UL, 1000UL, (1UL << 20U) - 1, 1UL << 20U, (3UL << 20U) + 7}) {
    std::string text(size, 'x');
    if (size > 0) text.back() = '\0';
    const auto sealed = seal(fleet.key, text);
    REQUIRE(sealed.ok());
    CHECK(*sealed_for(*sealed) == fleet.key.id());
    const auto opened = unseal(fleet.secret, *sealed);
    REQUIRE(opened.ok());
    CHECK((*opened == text));
  }
}

TEST_CASE("the same text sealed twice has nothing in common but its head") {
  const Fleet fleet;
  const std::string text(200, 'x');
  const auto first = *seal(fleet.key, text), second = *seal(fleet.key, text);
  CHECK(first.substr(27) != second.substr(27));
  CHECK(first.find("xxxx") == std::string::npos);
}

TEST_CASE("a sealed text that is cut, longer, or has one bit changed is refused") {
  const Fleet fleet;
  const std::string sealed = *seal(fleet.key, "the keys of the house");
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    CHECK_FALSE(unseal(fleet.secret, sealed.substr(0, size)).ok());
  }
  CHECK_FALSE(unseal(fleet.secret, sealed + '\0').ok());
  for (std::size_t i = 0; i < 8 * sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i / 8] = static_cast<char>(changed[i / 8] ^ (1 << (i % 8)));
    CHECK_FALSE(unseal(fleet.secret, changed).ok());
  }
}

TEST_CASE("another recovery key opens nothing, and the error names both") {
  const Fleet fleet, other;
  const auto opened = unseal(other.secret, *seal(fleet.key, "x"));
  REQUIRE_FALSE(opened.ok());
  CHECK(says(opened.error(), fleet.key.id()));
  CHECK(says(opened.error(), other.key.id()));
}

TEST_CASE("who has only the public key cannot make a sealed text") {
  const Fleet fleet;
  RecoveryPublicKey without_sender = fleet.key;
  without_sender.sender = std::string(32, '\0');
  const auto opened = unseal(fleet.secret, *seal(without_sender, "a fleet of somebody else"));
  REQUIRE_FALSE(opened.ok());
  CHECK(says(opened.error(), "made by somebody else"));
}
