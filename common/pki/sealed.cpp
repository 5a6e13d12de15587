#include "common/pki/sealed.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <optional>

#include "common/pki/key_derivation.hpp"
#include "common/pki/openssl.hpp"

namespace edgefleet::pki {
namespace {

using OwnedCipher = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

constexpr std::string_view magic = "edgefleet-sealed-1\n";
constexpr std::size_t id_bytes = 8;
constexpr std::size_t public_bytes = 32;
constexpr std::size_t head_bytes = magic.size() + id_bytes + public_bytes;
constexpr std::size_t tag_bytes = 16;
constexpr std::size_t aes_bytes = 32;
constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t at_once = 1UL << 20U;  // OpenSSL counts in int

// Overwritten at its end.
class Secret {
 public:
  explicit Secret(std::string bytes) : bytes_(std::move(bytes)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&&) = delete;
  Secret& operator=(Secret&&) = delete;
  ~Secret() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

std::optional<std::string> shared_secret(EVP_PKEY* own, EVP_PKEY* other) {
  const OwnedKeyContext context(EVP_PKEY_CTX_new_from_pkey(nullptr, own, nullptr));
  std::string shared(public_bytes, '\0');
  std::size_t size = shared.size();
  auto* out = reinterpret_cast<unsigned char*>(shared.data());  // NOLINT: OpenSSL's type of a byte
  const bool done = context && EVP_PKEY_derive_init(context.get()) == 1 &&
                    EVP_PKEY_derive_set_peer(context.get(), other) == 1 &&
                    EVP_PKEY_derive(context.get(), out, &size) == 1 && size == shared.size();
  return done ? std::optional(std::move(shared)) : std::nullopt;
}

OwnedKey public_key(std::string_view bytes) {
  return OwnedKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, nullptr, bytes_of(bytes), bytes.size()));
}

// Key and nonce. `own` and `other` are the two halves that this side has.
std::optional<std::string> content_key(EVP_PKEY* own, EVP_PKEY* other, std::string_view fresh,
                                       const RecoveryPublicKey& recovery) {
  const auto shared = shared_secret(own, other);
  if (!shared) return std::nullopt;
  const Secret secret(*shared);
  return derive(secret.bytes(), recovery.sender, std::string(magic) + std::string(fresh) + recovery.key,
                aes_bytes + nonce_bytes);
}

enum class Way : int { open = 0, seal = 1 };

// AES-256-GCM. `tag` is written or compared. No value: it failed, or the tag is wrong.
std::optional<std::string> cipher(Way way, const Secret& key, std::string_view head, std::string_view text,
                                  std::string& tag) {
  const OwnedCipher context(EVP_CIPHER_CTX_new());
  const unsigned char* aes = bytes_of(key.bytes());
  auto* tag_at = reinterpret_cast<unsigned char*>(tag.data());  // NOLINT: OpenSSL's type of a byte
  int size = 0;
  const bool begun =
      context &&
      EVP_CipherInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, aes, aes + aes_bytes, static_cast<int>(way)) == 1 &&
      EVP_CipherUpdate(context.get(), nullptr, &size, bytes_of(head), static_cast<int>(head.size())) == 1;
  if (!begun) return std::nullopt;
  std::string out(text.size(), '\0');
  auto* out_at = reinterpret_cast<unsigned char*>(out.data());  // NOLINT: OpenSSL's type of a byte
  for (std::size_t at = 0; at < text.size(); at += at_once) {
    const int part = static_cast<int>(std::min(at_once, text.size() - at));
    if (EVP_CipherUpdate(context.get(), out_at + at, &size, bytes_of(text) + at, part) != 1) return std::nullopt;
  }
  if (way == Way::open &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, static_cast<int>(tag_bytes), tag_at) != 1) {
    return std::nullopt;
  }
  std::array<unsigned char, EVP_MAX_BLOCK_LENGTH> rest{};
  if (EVP_CipherFinal_ex(context.get(), rest.data(), &size) != 1) {
    OPENSSL_cleanse(out.data(), out.size());
    return std::nullopt;
  }
  if (way == Way::seal &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_GET_TAG, static_cast<int>(tag_bytes), tag_at) != 1) {
    return std::nullopt;
  }
  return out;
}

}  // namespace

Result<std::string> seal(const RecoveryPublicKey& key, std::string_view text) {
  if (text.size() > longest_sealed) return Error{"it is too large to be sealed", ErrorKind::too_large};
  const Errors errors;
  const Error failure{"the recovery key cannot be used to seal a backup"};
  const OwnedKey fresh(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519"));
  const OwnedKey recovery = public_key(key.key);
  std::array<unsigned char, public_bytes> fresh_public{};
  std::size_t size = fresh_public.size();
  if (!fresh || !recovery || EVP_PKEY_get_raw_public_key(fresh.get(), fresh_public.data(), &size) != 1) {
    return errors.because(failure.message);
  }
  const std::string fresh_bytes = text_of(fresh_public.data(), size);
  auto derived = content_key(fresh.get(), recovery.get(), fresh_bytes, key);
  if (!derived) return errors.because(failure.message);
  const Secret content(std::move(*derived));
  std::string head(magic);
  for (std::size_t i = 0; i < id_bytes; ++i) {
    head += static_cast<char>(std::stoul(key.id().substr(2 * i, 2), nullptr, 16));
  }
  head += fresh_bytes;
  std::string tag(tag_bytes, '\0');
  const auto encrypted = cipher(Way::seal, content, head, text, tag);
  if (!encrypted) return errors.because(failure.message);
  return head + *encrypted + tag;
}

Result<std::string> sealed_for(std::string_view sealed) {
  if (sealed.size() < head_bytes + tag_bytes || !sealed.starts_with(magic)) {
    return invalid("it is not a sealed file of edgefleet, or is cut off");
  }
  return hex(sealed.substr(magic.size(), id_bytes));
}

Result<std::string> unseal(const RecoverySecret& secret, std::string_view sealed) {
  const auto wanted = sealed_for(sealed);
  if (!wanted) return wanted.error();
  if (sealed.size() > longest_sealed + head_bytes + tag_bytes) return invalid("it is too large");
  const auto own = secret.public_half();
  if (!own) return own.error();
  if (*wanted != own->id()) {
    return invalid("it is sealed for the recovery key with the id " + *wanted + "; the one given has the id " +
                   own->id());
  }
  const Errors errors;
  auto bytes = secret.private_key();
  const OwnedKey key(EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, nullptr, bytes.data(), bytes.size()));
  OPENSSL_cleanse(bytes.data(), bytes.size());
  const std::string_view head = sealed.substr(0, head_bytes);
  const std::string_view fresh = head.substr(magic.size() + id_bytes);
  const OwnedKey other = public_key(fresh);
  auto derived = key && other ? content_key(key.get(), other.get(), fresh, *own) : std::nullopt;
  const Error changed = invalid("it is damaged, or was changed or made by somebody else");
  if (!derived) return changed;
  const Secret content(std::move(*derived));
  std::string tag(sealed.substr(sealed.size() - tag_bytes));
  sealed.remove_prefix(head_bytes);
  sealed.remove_suffix(tag_bytes);
  auto text = cipher(Way::open, content, head, sealed, tag);
  return text ? Result<std::string>(std::move(*text)) : changed;
}

}  // namespace edgefleet::pki
