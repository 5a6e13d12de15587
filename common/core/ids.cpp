#include "common/core/ids.hpp"

#include <algorithm>
#include <array>

#include "common/core/random.hpp"

namespace edgefleet {
namespace {

constexpr std::string_view crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

bool lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool word_char(char c) { return lower_or_digit(c) || c == '-'; }

constexpr std::array<std::int8_t, 256> crockford_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < crockford.size(); ++i) {
    values[static_cast<unsigned char>(crockford[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}

}  // namespace

bool valid_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && lower_or_digit(text.front()) && lower_or_digit(text.back()) &&
         std::all_of(text.begin(), text.end(), word_char);
}

bool valid_capability(std::string_view text) {
  if (text.empty() || text.size() > 128 || text.front() == '.' || text.back() == '.') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '.' ? text[i - 1] == '.' : !word_char(text[i])) return false;
  }
  return true;
}

bool valid_session(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return word_char(c) || (c >= 'A' && c <= 'Z') || c == '_';
  });
}

// 26 characters carry 130 bits, so the first one is at most '7'.
std::optional<Ulid> Ulid::parse(std::string_view text) {
  static constexpr auto values = crockford_values();
  if (text.size() != 26 || text.front() > '7') return std::nullopt;
  Ulid id;
  for (char c : text) {
    const auto value = values[static_cast<unsigned char>(c)];
    if (value < 0) return std::nullopt;
    id.high = (id.high << 5U) | (id.low >> 59U);
    id.low = (id.low << 5U) | static_cast<std::uint64_t>(value);
  }
  return id;
}

std::string Ulid::str() const {
  std::string text(26, '0');
  std::uint64_t h = high;
  std::uint64_t l = low;
  for (std::size_t i = 26; i-- > 0;) {
    text[i] = crockford[l & 31U];
    l = (l >> 5U) | (h << 59U);
    h >>= 5U;
  }
  return text;
}

Ulid UlidSource::next(WallTime now) {
  const auto ms = static_cast<std::uint64_t>(now.unix_ms) & 0xFFFFFFFFFFFFULL;
  if (ms <= last_.high >> 16U) {
    if (++last_.low == 0) ++last_.high;
  } else {
    last_ = Ulid{(ms << 16U) | (next_random(random_) & 0xFFFFU), next_random(random_)};
  }
  return last_;
}

}  // namespace edgefleet
