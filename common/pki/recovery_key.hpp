// A fleet's recovery key. Its secret half is one string for people to write down, and is kept nowhere; its public half
// is on the coordinator's machine, so that a backup can be sealed (sealed.hpp) without the secret.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::pki {

struct RecoveryPublicKey {
  std::string key;     // X25519, 32 bytes
  std::string sender;  // 32 bytes that only this machine and the owner of the secret know: who lacks them seals nothing

  [[nodiscard]] std::string id() const;  // 16 hexadecimal digits, no secret
  [[nodiscard]] std::string text() const;  // of its file
  static Result<RecoveryPublicKey> from_text(std::string_view text);
  friend bool operator==(const RecoveryPublicKey&, const RecoveryPublicKey&) = default;
};

// 140 random bits. The copy in memory is overwritten at its end.
class RecoverySecret {
 public:
  static Result<RecoverySecret> make();
  // As a person writes it: upper case, spaces and missing dashes are the same. Errors never contain the text: of kind
  // invalid, if it is none, or has a mistake, which its last four characters reveal.
  static Result<RecoverySecret> from_text(std::string_view text);
  RecoverySecret(const RecoverySecret&) = default;
  RecoverySecret& operator=(const RecoverySecret&) = default;
  RecoverySecret(RecoverySecret&&) = default;
  RecoverySecret& operator=(RecoverySecret&&) = default;
  ~RecoverySecret();

  [[nodiscard]] std::string text() const;  // efr_abcd-efgh-..., eight groups of four
  [[nodiscard]] Result<RecoveryPublicKey> public_half() const;
  [[nodiscard]] std::array<unsigned char, 32> private_key() const;  // X25519

 private:
  explicit RecoverySecret(std::string letters) : letters_(std::move(letters)) {}
  std::string letters_;
};

inline constexpr std::string_view recovery_prefix = "efr_";
inline constexpr std::size_t longest_recovery_text = 256;  // characters

}  // namespace edgefleet::pki
