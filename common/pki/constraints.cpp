#include "common/pki/constraints.hpp"

#include "common/pki/general_names.hpp"
#include "common/pki/names.hpp"

namespace edgefleet::pki {
namespace {

constexpr std::size_t most_names = 64;
// The largest ranges that one organization has.
constexpr std::size_t shortest_prefix_ipv4 = 8;
constexpr std::size_t shortest_prefix_ipv6 = 16;

constexpr std::string_view local = "local";
constexpr std::string_view localhost = "localhost";
constexpr const char* private_ranges[]{"127.0.0.0/8",    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                                       "169.254.0.0/16", "fc00::/7",   "fe80::/10",     "::1"};

using Subtrees = STACK_OF(GENERAL_SUBTREE);

bool add(Subtrees*& list, OwnedGeneralName name) {
  if (list == nullptr) list = sk_GENERAL_SUBTREE_new_null();
  OwnedSubtree subtree(GENERAL_SUBTREE_new());
  if (list == nullptr || !subtree || !name) return false;
  GENERAL_NAME_free(subtree->base);
  subtree->base = name.release();
  if (sk_GENERAL_SUBTREE_push(list, subtree.get()) <= 0) return false;
  subtree.release();  // NOLINT: the list has it now
  return true;
}

bool add(NAME_CONSTRAINTS& constraints, const IpRange& range) {
  return add(constraints.permittedSubtrees, ip_name(range.first.bytes + range.mask()));
}

// Both are reserved (RFC 6762, RFC 6761); any other name of one label may be a top-level domain, now or later.
bool may_be_top_level(const std::string& name) {
  return name.find('.') == std::string::npos && name != local && name != localhost;
}

bool add(NAME_CONSTRAINTS& constraints, const std::string& name) {
  return add(constraints.permittedSubtrees, dns_name(name)) &&
         (!may_be_top_level(name) || add(constraints.excludedSubtrees, dns_name("." + name)));
}

bool too_large(const IpRange& range) {
  return range.prefix < (range.first.bytes.size() == 4 ? shortest_prefix_ipv4 : shortest_prefix_ipv6);
}

bool is_range(const std::string& text) {
  return text.find('/') != std::string::npos || IpAddress::parse(text).has_value();
}

Status add_given(NAME_CONSTRAINTS& constraints, const std::string& text) {
  const Error no_memory{"no memory for the names of a certification authority"};
  if (is_range(text)) {
    const auto range = parse_range(text);
    if (!range) return range.error();
    if (too_large(*range)) return invalid(text + " is too large a range for one fleet");
    return add(constraints, *range) ? success() : no_memory;
  }
  const auto host = parse_host(text);
  if (!host) return host.error();
  return add(constraints, std::get<DnsName>(*host).str()) ? success() : no_memory;
}

}  // namespace

Result<OwnedConstraints> constraints_for(const std::vector<std::string>& names) {
  if (names.size() > most_names) {
    return Error{"a certification authority takes " + std::to_string(most_names) + " names at most",
                 ErrorKind::too_large};
  }
  OwnedConstraints constraints(NAME_CONSTRAINTS_new());
  if (!constraints || !add(*constraints, std::string(local))) return Error{"no memory for name constraints"};
  for (const char* range : private_ranges) {
    if (!add(*constraints, *parse_range(range))) return Error{"no memory for name constraints"};
  }
  for (const std::string& name : names) {
    if (auto added = add_given(*constraints, name); !added) return added.error();
  }
  return constraints;
}

}  // namespace edgefleet::pki
