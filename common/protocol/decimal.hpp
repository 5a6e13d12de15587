// A JSON number by its value: exact, whatever its size. A double would round it, and cannot hold 1e400. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace edgefleet::json {

class Decimal {
 public:
  // `number`: a well-formed value. None: it is not a number.
  static std::optional<Decimal> read(std::string_view number);

  [[nodiscard]] bool zero() const { return digits_.empty(); }
  [[nodiscard]] bool whole() const { return static_cast<std::int64_t>(digits_.size()) <= exponent_; }
  // None: it has a fraction, or more than 64 bits.
  [[nodiscard]] std::optional<std::int64_t> as_integer() const;
  // The same for equal numbers: 1, 1.0 and 10e-1.
  [[nodiscard]] std::string canonical() const;

  friend bool operator==(const Decimal&, const Decimal&) = default;
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);

 private:
  [[nodiscard]] std::strong_ordering compare_magnitude(const Decimal& other) const;

  // The value is 0.DIGITS * 10^exponent. The digits neither begin nor end with a zero; zero has none.
  bool negative_ = false;
  std::int64_t exponent_ = 0;
  std::string digits_;
};

}  // namespace edgefleet::json
