#include "coordinator/access/secret.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <array>
#include <stdexcept>

#include "common/files/text_digest.hpp"
#include "coordinator/access/broker_files.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::string_view letters = "abcdefghijkmnpqrstuvwxyz23456789";  // none that looks like another
static_assert(letters.size() == 32);
constexpr std::size_t id_letters = 10;
constexpr std::size_t secret_letters = 52;

std::string random_letters(std::size_t count) {
  std::string text(count, ' ');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(text.data()), static_cast<int>(count)) != 1) {  // NOLINT
    throw std::runtime_error("the system gives no random numbers");
  }
  for (char& c : text) c = letters[static_cast<unsigned char>(c) % letters.size()];
  return text;
}

}  // namespace

Secret make_secret(std::string_view prefix) {
  Secret made;
  made.id = random_letters(id_letters);
  made.text = std::string(prefix) + made.id + "_" + random_letters(secret_letters);
  return made;
}

std::optional<std::string> secret_id(std::string_view prefix, std::string_view text) {
  if (text.size() != prefix.size() + id_letters + 1 + secret_letters || !text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  const auto id = text.substr(0, id_letters);
  const auto rest = text.substr(id_letters + 1);
  if (text[id_letters] != '_' || id.find_first_not_of(letters) != std::string_view::npos ||
      rest.find_first_not_of(letters) != std::string_view::npos) {
    return std::nullopt;
  }
  return std::string(id);
}

Result<std::string> salted_password(std::string_view key) {
  PasswordSalt salt{};
  if (RAND_bytes(salt.data(), static_cast<int>(salt.size())) != 1) return Error{"the system gives no random numbers"};
  return password_hash(key, salt);
}

std::string secret_digest(std::string_view text) { return sha256(text); }

bool same_digest(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace edgefleet::coordinator
