#include "common/join/token.hpp"

#include <algorithm>
#include <optional>

#include "common/core/joined.hpp"
#include "common/core/trimmed.hpp"

namespace edgefleet::join {
namespace {

// base64url without padding (RFC 4648, 5): one word for a terminal and for a shell.
constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string base64url(std::string_view bytes) {
  std::string text;
  unsigned buffer = 0;
  int bits = 0;
  for (const char c : bytes) {
    buffer = buffer << 8U | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 6; bits -= 6) text += letters[buffer >> static_cast<unsigned>(bits - 6) & 63U];
  }
  if (bits > 0) text += letters[buffer << static_cast<unsigned>(6 - bits) & 63U];
  return text;
}

std::optional<std::string> bytes_of(std::string_view text) {
  std::string bytes;
  unsigned buffer = 0;
  int bits = 0;
  for (const char c : text) {
    const auto value = letters.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    buffer = buffer << 6U | static_cast<unsigned>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(buffer >> static_cast<unsigned>(bits) & 255U);
  }
  return bytes;
}

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (;;) {
    const auto end = text.find(at);
    parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

bool only(std::string_view text, std::string_view allowed) {
  return text.find_first_not_of(allowed) == std::string_view::npos;
}

bool is_address(const std::string& text) {
  const auto colon = text.rfind(':');
  return colon != std::string::npos && colon > 0 && text.size() <= 300 && text.size() - colon - 1 <= 5 &&
         colon + 1 < text.size() && only(text.substr(colon + 1), "0123456789") &&
         only(text.substr(0, colon), "abcdefghijklmnopqrstuvwxyz0123456789.-:[]");
}

}  // namespace

std::string encode(const Token& token) {
  // The last line end shows that nothing was cut.
  return std::string(token_prefix) + base64url(token.secret.substr(token_prefix.size()) + '\n' + token.ca_sha256 +
                                               '\n' + joined(token.addresses, ",") + '\n');
}

Result<Token> decode(std::string_view text) {
  const Error bad{
      "this is not a join token: one begins with efj_ and is printed by `edgefleet join-token create`; copy "
      "the whole of it",
      ErrorKind::invalid};
  text = trimmed(text);
  if (!text.starts_with(token_prefix) || text.size() > longest_token) return bad;
  const auto bytes = bytes_of(text.substr(token_prefix.size()));
  if (!bytes) return bad;
  const auto lines = split(*bytes, '\n');
  if (lines.size() != 4 || !lines[3].empty()) return bad;
  Token token{std::string(token_prefix) + lines[0], lines[1], split(lines[2], ',')};
  const bool good = !lines[0].empty() && only(lines[0], "abcdefghijklmnopqrstuvwxyz0123456789_") &&
                    token.ca_sha256.size() == 64 && only(token.ca_sha256, "0123456789abcdef") &&
                    token.addresses.size() <= most_addresses && std::ranges::all_of(token.addresses, is_address);
  if (!good) return bad;
  return token;
}

}  // namespace edgefleet::join
