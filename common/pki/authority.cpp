#include "common/pki/authority.hpp"

#include "common/core/overloaded.hpp"
#include "common/pki/constraints.hpp"
#include "common/pki/draft.hpp"
#include "common/pki/general_names.hpp"
#include "common/pki/names.hpp"
#include "common/pki/subject.hpp"

namespace edgefleet::pki {
namespace {

constexpr std::size_t most_names = 64;  // of one server
constexpr std::size_t longest_common_name = 64;

bool add(GENERAL_NAMES* names, OwnedGeneralName name) {
  if (names == nullptr || !name || sk_GENERAL_NAME_push(names, name.get()) <= 0) return false;
  name.release();  // NOLINT: the list has it now
  return true;
}

bool add(GENERAL_NAMES* names, const HostName& host) {
  return std::visit(overloaded{[&](const DnsName& name) { return add(names, dns_name(name.str())); },
                               [&](const IpAddress& address) { return add(names, ip_name(address.bytes)); }},
                    host);
}

// An address as the common name would be taken for a DNS name by OpenSSL, and refused.
std::string server_common_name(const std::vector<HostName>& hosts) {
  for (const HostName& host : hosts) {
    const auto* name = std::get_if<DnsName>(&host);
    if (name != nullptr && name->str().size() <= longest_common_name) return name->str();
  }
  return "server";
}

// As make() makes it: without constraints its key would be one that can sign for everybody.
bool of_our_kind(const Certificate& ca) {
  const X509* handle = ca.handle();
  const int constraints = X509_get_ext_by_NID(handle, NID_name_constraints, -1);
  return ca.is_authority() && X509_self_signed(ca.handle(), 1) == 1 && X509_get_pathlen(ca.handle()) == 0 &&
         constraints >= 0 && X509_EXTENSION_get_critical(X509_get_ext(handle, constraints)) != 0;
}

Error outside(const std::string& name) {
  return unsupported("this certification authority may not issue for " + name +
                     ": it is neither a name that the authority was made for, nor below .local, nor a private address");
}

Error no_memory() { return Error{"no memory for the names of a certificate"}; }

}  // namespace

struct Authority::Identity {
  Use use = Use::client;
  std::string common_name;
  OwnedGeneralNames names{sk_GENERAL_NAME_new_null()};
  std::int64_t not_before = first_date;
  std::int64_t not_after = last_date;
};

Result<Authority> Authority::make(const FleetName& fleet, const std::vector<std::string>& names) {
  const Errors errors;
  const auto constraints = constraints_for(names);
  if (!constraints) return constraints.error();
  auto key = Key::make();
  if (!key) return key.error();
  Draft draft(key->public_key(), authority_subject(fleet, key->public_key().sha256()), first_date, last_date);
  draft.make_authority(**constraints);
  auto certificate = draft.sign(*key, nullptr);
  if (!certificate) return certificate.error();
  return Authority(fleet, std::move(*certificate), std::move(*key));
}

Result<Authority> Authority::load(std::string_view certificate_pem, std::string_view key_pem) {
  const std::string what = "the certification authority";
  const Errors errors;
  auto certificate = Certificate::from_pem(certificate_pem);
  if (!certificate) return certificate.error().context(what);
  auto key = Key::from_pem(key_pem);
  if (!key) return key.error().context(what);
  if (!certificate->public_key().ok() || *certificate->public_key() != key->public_key()) {
    return invalid(what + ": its certificate and its private key do not belong together");
  }
  if (!of_our_kind(*certificate)) {
    return invalid(what + ": its certificate is not one that an edgefleet authority signs itself");
  }
  auto fleet = fleet_of(X509_get_subject_name(certificate->handle()));
  if (!fleet) return fleet.error().context(what);
  return Authority(std::move(*fleet), std::move(*certificate), std::move(*key));
}

// Asks the verifier itself, so that no second reading of the constraints can differ from it.
Status Authority::permits(std::string_view name) const {
  const auto issued = issue_server(certificate_.public_key().value(), {std::string(name)}, first_date, last_date);
  return issued ? success() : issued.error();
}

Result<Certificate> Authority::issue_agent(const PublicKey& key, const AgentName& name, std::int64_t not_after) const {
  return issue_to(key, "agent", name.str(), not_after);
}

Result<Certificate> Authority::issue_client(const PublicKey& key, const ClientName& name,
                                            std::int64_t not_after) const {
  return issue_to(key, "client", name.str(), not_after);
}

Result<Certificate> Authority::issue_to(const PublicKey& key, const std::string& kind, const std::string& name,
                                        std::int64_t not_after) const {
  Identity identity{.common_name = name, .not_after = not_after};
  if (!add(identity.names.get(), uri_name("edgefleet:" + fleet_.str() + "/" + kind + "/" + name))) return no_memory();
  return issue(key, identity);
}

Result<Certificate> Authority::issue_server(const PublicKey& key, const std::vector<std::string>& names,
                                            std::int64_t not_before, std::int64_t not_after) const {
  if (names.empty() || names.size() > most_names) {
    return invalid("the certificate of a server has 1 to " + std::to_string(most_names) + " names");
  }
  const auto hosts = parse_hosts(names);
  if (!hosts) return hosts.error();
  Identity identity{
      .use = Use::server, .common_name = server_common_name(*hosts), .not_before = not_before, .not_after = not_after};
  for (const HostName& host : *hosts) {
    if (!add(identity.names.get(), host)) return no_memory();
  }
  auto issued = issue(key, identity);
  if (issued || issued.error().kind != ErrorKind::unsupported) return issued;
  if (names.size() == 1) return outside(names.front());
  for (const std::string& name : names) {
    if (auto permitted = permits(name); !permitted) return permitted.error();
  }
  return issued;
}

Result<Certificate> Authority::issue(const PublicKey& key, const Identity& identity) const {
  const std::string what = "the certificate of " + identity.common_name;
  if (identity.not_before < first_date || identity.not_after > last_date || identity.not_before >= identity.not_after) {
    return invalid(what + ": its dates are not in order, or not in 1970 to 9999");
  }
  const Errors errors;
  Draft draft(key, common_name_subject(identity.common_name), identity.not_before, identity.not_after);
  draft.make_leaf(identity.use, *identity.names);
  auto certificate = draft.sign(key_, &certificate_);
  if (!certificate) return certificate.error().context(what);
  if (auto passed = certificate->verified_by(certificate_, identity.use); !passed) {
    return unsupported("the certification authority cannot issue " + what + ": " + passed.error().message);
  }
  return certificate;
}

}  // namespace edgefleet::pki
