// Secrets that this coordinator gives out: `ef_ID_SECRET` for an access, `efj_ID_SECRET` within a join token. The id
// finds the record; only the SHA-256 of the whole text is kept.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

struct Secret {
  std::string id;    // 10 characters
  std::string text;  // the whole, shown once
};

inline constexpr std::string_view access_prefix = "ef_";
inline constexpr std::string_view join_prefix = "efj_";
inline constexpr std::size_t longest_secret = 128;  // characters; a longer text is none

Secret make_secret(std::string_view prefix);  // 260 random bits
// The id of a well-formed secret. No value: it has another form.
std::optional<std::string> secret_id(std::string_view prefix, std::string_view text);
// For the broker's password file, with a random salt.
Result<std::string> salted_password(std::string_view key);
std::string secret_digest(std::string_view text);
// In a time that does not depend on where they differ.
bool same_digest(std::string_view a, std::string_view b);

}  // namespace edgefleet::coordinator
