#include "common/pki/asn1.hpp"

#include <openssl/rand.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>

#include "common/pki/dates.hpp"

namespace edgefleet::pki {
namespace {

using std::chrono::days;
using std::chrono::sys_days;
using std::chrono::year_month_day;

constexpr std::int64_t day = 86'400;

}  // namespace

// By text: OpenSSL's functions that take a time_t cannot express 9999 where it has 32 bits.
OwnedTime to_asn1(std::int64_t date) {
  if (date < first_date || date > last_date) return nullptr;
  const year_month_day when{sys_days(days(static_cast<int>(date / day)))};
  const int second = static_cast<int>(date % day);
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04d%02u%02u%02d%02d%02dZ", static_cast<int>(when.year()),
                static_cast<unsigned>(when.month()), static_cast<unsigned>(when.day()), second / 3600, second / 60 % 60,
                second % 60);
  OwnedTime time(ASN1_TIME_new());
  if (!time || ASN1_TIME_set_string_X509(time.get(), text.data()) != 1) return nullptr;
  return time;
}

std::optional<std::int64_t> date_of(const ASN1_TIME* time) {
  std::tm parts{};
  if (time == nullptr || ASN1_TIME_to_tm(time, &parts) != 1) return std::nullopt;
  const year_month_day when{std::chrono::year(parts.tm_year + 1900),
                            std::chrono::month(static_cast<unsigned>(parts.tm_mon) + 1),
                            std::chrono::day(static_cast<unsigned>(parts.tm_mday))};
  if (!when.ok()) return std::nullopt;
  const std::int64_t second = parts.tm_hour * 3600 + parts.tm_min * 60 + parts.tm_sec;
  return sys_days(when).time_since_epoch().count() * day + second;
}

std::string serial_text(const ASN1_INTEGER* serial) {
  const std::string digits = hex(view_of(serial));
  if (digits.empty()) return "00";
  return ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER ? "-" + digits : digits;
}

OwnedInteger serial_from(std::string_view text) {
  if (text.empty() || text.size() > 40) return nullptr;
  if (text.find_first_not_of("0123456789abcdef") != std::string_view::npos) return nullptr;
  BIGNUM* read = nullptr;
  BN_hex2bn(&read, std::string(text).c_str());
  const OwnedNumber number(read);
  return number ? OwnedInteger(BN_to_ASN1_INTEGER(number.get(), nullptr)) : nullptr;
}

OwnedInteger random_serial() {
  std::array<unsigned char, 16> bits{};
  do {
    if (RAND_bytes(bits.data(), static_cast<int>(bits.size())) != 1) return nullptr;
  } while (bits[0] == 0);
  const OwnedNumber number(BN_bin2bn(bits.data(), static_cast<int>(bits.size()), nullptr));
  return number ? OwnedInteger(BN_to_ASN1_INTEGER(number.get(), nullptr)) : nullptr;
}

}  // namespace edgefleet::pki
