#include "common/pki/recovery_key.hpp"

#include <algorithm>
#include <cctype>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::pki;

TEST_CASE("a recovery key that was written down has the same public half when it is read") {
  const auto secret = RecoverySecret::make();
  REQUIRE(secret.ok());
  const std::string text = secret->text();
  CHECK(text.size() == 4 + 8 * 4 + 7);
  CHECK(text.starts_with("efr_"));
  std::string shouted = text;
  std::ranges::transform(shouted, shouted.begin(), [](unsigned char c) { return std::toupper(c); });
  std::string plain = text;
  std::erase(plain, '-');
  for (const std::string& same : {text, shouted, plain, "  " + text + "\r\n", "efr_ " + text.substr(4)}) {
    const auto read = RecoverySecret::from_text(same);
    REQUIRE(read.ok());
    CHECK(read->text() == text);
    CHECK(*read->public_half() == *secret->public_half());
  }
}

TEST_CASE("two recovery keys differ") {
  const auto first = RecoverySecret::make(), second = RecoverySecret::make();
  CHECK(first->text() != second->text());
  CHECK(first->public_half()->id() != second->public_half()->id());
  CHECK(first->public_half()->sender != second->public_half()->sender);
}

TEST_CASE("a typing mistake in a recovery key is noticed, and the error does not show it") {
  const std::string text = RecoverySecret::make()->text();
  int mistakes = 0;
  for (std::size_t i = 4; i < text.size(); ++i) {
    if (text[i] == '-') continue;
    std::string wrong = text;
    wrong[i] = text[i] == 'a' ? 'b' : 'a';
    const auto read = RecoverySecret::from_text(wrong);
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().message.find(wrong.substr(4)) == std::string::npos);
    ++mistakes;
    for (std::size_t next = i + 1; next < text.size() && next <= i + 2; ++next) {
      if (text[next] == '-' || text[next] == text[i]) continue;
      std::string swapped = text;
      std::swap(swapped[i], swapped[next]);
      CHECK_FALSE(RecoverySecret::from_text(swapped).ok());
    }
  }
  CHECK(mistakes == 32);
}

TEST_CASE("what is no recovery key is refused") {
  const std::string text = RecoverySecret::make()->text();
  for (const std::string& wrong : {std::string(), std::string("efr_"), text.substr(0, text.size() - 1), text + "a",
                                   text.substr(4), "ef_" + text.substr(4), "efr_" + std::string(32, '0'),
                                   std::string(100'000, 'a'), std::string("efr_\0", 5) + text.substr(4)}) {
    CHECK_FALSE(RecoverySecret::from_text(wrong).ok());
  }
}

TEST_CASE("the public half of a recovery key is the same after it was written and read, and never read from less") {
  const auto key = RecoverySecret::make()->public_half();
  REQUIRE(key.ok());
  const std::string text = key->text();
  const auto read = RecoveryPublicKey::from_text(text);
  REQUIRE(read.ok());
  CHECK(*read == *key);
  for (std::size_t size = 0; size < text.size(); ++size) {
    CHECK_FALSE(RecoveryPublicKey::from_text(text.substr(0, size)).ok());
  }
  CHECK_FALSE(RecoveryPublicKey::from_text(text + "\n").ok());
}
