#include "common/pki/recovery_key.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cctype>

#include "common/pki/key_derivation.hpp"
#include "common/pki/openssl.hpp"

namespace edgefleet::pki {
namespace {

constexpr std::string_view alphabet = "abcdefghijkmnpqrstuvwxyz23456789";  // none that looks like another
static_assert(alphabet.size() == 32);
constexpr std::size_t secret_letters = 28;
constexpr std::size_t check_letters = 4;
constexpr std::size_t group = 4;
constexpr std::size_t key_bytes = 32;
constexpr std::string_view first_line = "edgefleet recovery key 1";
constexpr std::string_view salt = "edgefleet recovery key 1";

// One letter that is wrong, or two that have changed places, pass in one of a million cases.
std::string check_of(std::string_view letters) {
  const std::string digest = sha256_hex("edgefleet recovery key: " + std::string(letters));
  std::string check;
  for (std::size_t i = 0; i < check_letters; ++i) {
    check += alphabet[std::stoul(digest.substr(2 * i, 2), nullptr, 16) % alphabet.size()];
  }
  return check;
}

Error no_secret() {
  return Error{
      "this is not a recovery key: it begins with efr_, has eight groups of four characters after that, and was "
      "shown by `edgefleet-coordinator setup` once",
      ErrorKind::invalid};
}

std::optional<std::string> bytes_of_hex(std::string_view text) {
  if (text.size() != 2 * key_bytes || text.find_first_not_of("0123456789abcdef") != std::string_view::npos) {
    return std::nullopt;
  }
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoul(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

// "NAME HEX\n" at the beginning of the text, which is taken off.
std::optional<std::string> take_line(std::string_view& text, std::string_view name) {
  const auto end = text.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end + 1);
  if (!line.starts_with(std::string(name) + " ")) return std::nullopt;
  return bytes_of_hex(line.substr(name.size() + 1));
}

}  // namespace

std::string RecoveryPublicKey::id() const { return sha256_hex(key).substr(0, 16); }

std::string RecoveryPublicKey::text() const {
  return std::string(first_line) + "\nkey " + hex(key) + "\nsender " + hex(sender) + "\n";
}

Result<RecoveryPublicKey> RecoveryPublicKey::from_text(std::string_view text) {
  const Error damaged = invalid("it is not the public half of a recovery key");
  const std::string head = std::string(first_line) + "\n";
  if (!text.starts_with(head)) return damaged;
  text.remove_prefix(head.size());
  const auto key = take_line(text, "key");
  const auto sender = take_line(text, "sender");
  if (!key || !sender || !text.empty()) return damaged;
  return RecoveryPublicKey{*key, *sender};
}

RecoverySecret::~RecoverySecret() { OPENSSL_cleanse(letters_.data(), letters_.size()); }

Result<RecoverySecret> RecoverySecret::make() {
  std::array<unsigned char, secret_letters> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) {
    return Error{"the system gives no random numbers"};
  }
  std::string letters;
  for (const unsigned char byte : random) letters += alphabet[byte % alphabet.size()];
  OPENSSL_cleanse(random.data(), random.size());
  return RecoverySecret(std::move(letters));
}

Result<RecoverySecret> RecoverySecret::from_text(std::string_view text) {
  if (text.size() > longest_recovery_text) return no_secret();
  std::string letters;
  for (const char c : text) {
    if (c == '-' || std::isspace(static_cast<unsigned char>(c)) != 0) continue;
    letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  if (!letters.starts_with(recovery_prefix)) return no_secret();
  letters.erase(0, recovery_prefix.size());
  if (letters.find_first_not_of(alphabet) != std::string::npos) return no_secret();
  if (letters.size() != secret_letters + check_letters) return no_secret();
  const std::string check = letters.substr(secret_letters);
  letters.resize(secret_letters);
  if (check_of(letters) != check) {
    return Error{"this recovery key has a typing mistake: its last four characters do not fit the others",
                 ErrorKind::invalid};
  }
  return RecoverySecret(std::move(letters));
}

std::string RecoverySecret::text() const {
  const std::string all = letters_ + check_of(letters_);
  std::string text(recovery_prefix);
  for (std::size_t i = 0; i < all.size(); i += group) text += (i == 0 ? "" : "-") + all.substr(i, group);
  return text;
}

std::array<unsigned char, 32> RecoverySecret::private_key() const {
  std::array<unsigned char, key_bytes> key{};
  auto derived = derive(letters_, salt, "private key", key.size());
  if (!derived) return key;  // OpenSSL takes no such key
  std::copy(derived->begin(), derived->end(), key.begin());
  OPENSSL_cleanse(derived->data(), derived->size());
  return key;
}

Result<RecoveryPublicKey> RecoverySecret::public_half() const {
  const Errors errors;
  auto secret = private_key();
  const OwnedKey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, secret.data(), secret.size()));
  OPENSSL_cleanse(secret.data(), secret.size());
  std::array<unsigned char, key_bytes> bytes{};
  std::size_t size = bytes.size();
  const auto sender = derive(letters_, salt, "sender", key_bytes);
  if (!key || !sender || EVP_PKEY_get_raw_public_key(key.get(), bytes.data(), &size) != 1 || size != bytes.size()) {
    return errors.because("cannot make a recovery key");
  }
  return RecoveryPublicKey{text_of(bytes.data(), size), *sender};
}

}  // namespace edgefleet::pki
