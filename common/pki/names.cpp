#include "common/pki/names.hpp"

#include <arpa/inet.h>

#include <array>
#include <charconv>

#include "common/core/utf8.hpp"

namespace edgefleet::pki {
namespace {

constexpr std::string_view digits = "0123456789";
constexpr std::string_view of_label = "abcdefghijklmnopqrstuvwxyz0123456789-";

bool valid_label(std::string_view label) {
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         label.find_first_not_of(of_label) == std::string_view::npos;
}

std::string quoted(std::string_view text) { return '"' + without_controls(valid_utf8(cut_front(text, 100))) + '"'; }

std::string lower(std::string_view text) {
  std::string small(text);
  for (char& c : small) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return small;
}

}  // namespace

bool DnsTag::valid(std::string_view text) {
  if (text.size() > 253) return false;
  while (true) {
    const auto dot = text.find('.');
    const auto label = text.substr(0, dot);
    if (!valid_label(label)) return false;
    if (dot == std::string_view::npos) return label.find_first_not_of(digits) != std::string_view::npos;
    text.remove_prefix(dot + 1);
  }
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string whole(text);
  std::array<char, 16> bytes{};
  if (inet_pton(AF_INET, whole.c_str(), bytes.data()) == 1) return IpAddress{{bytes.data(), 4}};
  if (inet_pton(AF_INET6, whole.c_str(), bytes.data()) == 1) return IpAddress{{bytes.data(), 16}};
  return std::nullopt;
}

std::string IpAddress::str() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const int family = bytes.size() == 4 ? AF_INET : AF_INET6;
  const char* written = inet_ntop(family, bytes.data(), text.data(), static_cast<socklen_t>(text.size()));
  return written == nullptr ? "" : written;
}

Result<HostName> parse_host(std::string_view text) {
  if (auto address = IpAddress::parse(text)) return HostName(std::move(*address));
  if (auto name = DnsName::parse(lower(text))) return HostName(std::move(*name));
  return invalid(quoted(text) + " is neither a DNS name nor an IP address");
}

Result<std::vector<HostName>> parse_hosts(const std::vector<std::string>& texts) {
  std::vector<HostName> hosts;
  for (const std::string& text : texts) {
    auto host = parse_host(text);
    if (!host) return host.error();
    hosts.push_back(std::move(*host));
  }
  return hosts;
}

std::string IpRange::mask() const {
  std::string all(first.bytes.size(), '\0');
  for (std::size_t bit = 0; bit < prefix; ++bit) {
    all[bit / 8] = static_cast<char>(static_cast<unsigned char>(all[bit / 8]) | (0x80U >> (bit % 8)));
  }
  return all;
}

Result<IpRange> parse_range(std::string_view text) {
  const auto slash = text.find('/');
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return invalid(quoted(text) + " is neither an IP address nor a range such as 192.0.2.0/24");
  const std::size_t bits = 8 * address->bytes.size();
  IpRange range{std::move(*address), bits};
  if (slash == std::string_view::npos) return range;
  const auto number = text.substr(slash + 1);
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), range.prefix);
  if (error != std::errc() || stop != number.data() + number.size() || range.prefix > bits) {
    return invalid(quoted(text) + " is not a range: after '/' comes a number up to " + std::to_string(bits));
  }
  const std::string mask = range.mask();
  for (std::size_t i = 0; i < mask.size(); ++i) {
    const auto outside =
        static_cast<unsigned char>(range.first.bytes[i]) & ~static_cast<unsigned char>(mask[i]) & 0xffU;
    if (outside != 0) return invalid(quoted(text) + " is not a range: it has bits after its prefix");
  }
  return range;
}

}  // namespace edgefleet::pki
