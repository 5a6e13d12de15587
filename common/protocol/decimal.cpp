#include "common/protocol/decimal.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>

namespace edgefleet::json {
namespace {

// Larger exponents count as this one. The digits of a message cannot make up for the difference.
constexpr std::int64_t largest_exponent = 1'000'000'000'000'000'000;
constexpr std::int64_t digits_of_64_bits = 19;

bool digit(char c) { return c >= '0' && c <= '9'; }

std::int64_t exponent_of(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  std::int64_t exponent = 0;
  const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), exponent);
  if (failure == std::errc::result_out_of_range) return text.front() == '-' ? -largest_exponent : largest_exponent;
  return std::clamp(exponent, -largest_exponent, largest_exponent);
}

}  // namespace

std::optional<Decimal> Decimal::read(std::string_view number) {
  Decimal decimal;
  decimal.negative_ = number.starts_with('-');
  if (decimal.negative_) number.remove_prefix(1);
  if (number.empty() || !digit(number.front())) return std::nullopt;
  const auto e = std::min(number.find_first_of("eE"), number.size());
  const auto mantissa = number.substr(0, e);
  const auto point = std::min(mantissa.find('.'), mantissa.size());
  std::copy_if(mantissa.begin(), mantissa.end(), std::back_inserter(decimal.digits_), digit);
  decimal.exponent_ = static_cast<std::int64_t>(point) + (e < number.size() ? exponent_of(number.substr(e + 1)) : 0);
  const auto first = decimal.digits_.find_first_not_of('0');
  if (first == std::string::npos) return Decimal();
  decimal.digits_.erase(decimal.digits_.find_last_not_of('0') + 1);
  decimal.digits_.erase(0, first);
  decimal.exponent_ -= static_cast<std::int64_t>(first);
  return decimal;
}

std::optional<std::int64_t> Decimal::as_integer() const {
  if (zero()) return 0;
  if (!whole() || exponent_ > digits_of_64_bits) return std::nullopt;
  std::string text = (negative_ ? "-" : "") + digits_;
  text.append(static_cast<std::size_t>(exponent_) - digits_.size(), '0');
  std::int64_t value = 0;
  const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} ? std::optional(value) : std::nullopt;
}

std::string Decimal::canonical() const {
  return (negative_ ? "-0." : "0.") + digits_ + "e" + std::to_string(exponent_);
}

std::strong_ordering Decimal::compare_magnitude(const Decimal& other) const {
  if (zero() || other.zero()) return !zero() <=> !other.zero();
  if (exponent_ != other.exponent_) return exponent_ <=> other.exponent_;
  return digits_ <=> other.digits_;
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  if (a.negative_ != b.negative_) return b.negative_ <=> a.negative_;
  return a.negative_ ? b.compare_magnitude(a) : a.compare_magnitude(b);
}

}  // namespace edgefleet::json
