// A fleet's certification authority: one key that issues the certificates of agents, clients and servers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/pki/certificate.hpp"
#include "common/pki/dates.hpp"
#include "common/pki/key.hpp"
#include "common/pki/revocation.hpp"

namespace edgefleet::pki {

// Nothing changes it; any thread. Dates are seconds since 1970. Every certificate has a random serial number of 128
// bits, and passes the verification by the authority's own certificate before it is given out.
class Authority {
 public:
  // A new key, and a certificate that signs itself, from first_date to last_date. It may issue for `names` (DNS names,
  // IP addresses, ranges of addresses such as 203.0.113.0/24), for `.local`, and for loopback, private and link-local
  // addresses; verifiers refuse whatever else is signed by its key (critical name constraints). A name of several
  // labels includes what is below it; one of one label does not (constraints.hpp: better without).
  static Result<Authority> make(const FleetName& fleet, const std::vector<std::string>& names);
  // They must belong together, and the certificate must be one of make()'s kind.
  static Result<Authority> load(std::string_view certificate_pem, std::string_view key_pem);

  [[nodiscard]] const Certificate& certificate() const { return certificate_; }
  [[nodiscard]] const Key& key() const { return key_; }
  [[nodiscard]] const FleetName& fleet() const { return fleet_; }

  // Whether a certificate of a server of this DNS name, or IP address, would be accepted; if not, why.
  [[nodiscard]] Status permits(std::string_view name) const;

  // CN=NAME, URI:edgefleet:FLEET/agent/NAME, for clients, from first_date on.
  [[nodiscard]] Result<Certificate> issue_agent(const PublicKey& key, const AgentName& name,
                                                std::int64_t not_after) const;
  // The same for what is no agent (coordinator, watch, canaries): URI:edgefleet:FLEET/client/NAME.
  [[nodiscard]] Result<Certificate> issue_client(const PublicKey& key, const ClientName& name,
                                                 std::int64_t not_after) const;
  // `names`: DNS names and IP addresses. The subject is the first DNS name of at most 64 bytes, or "server": clients
  // look at the alternative names only. ErrorKind::unsupported: the authority may not issue for one of them.
  [[nodiscard]] Result<Certificate> issue_server(const PublicKey& key, const std::vector<std::string>& names,
                                                 std::int64_t not_before, std::int64_t not_after) const;
  [[nodiscard]] Result<std::string> crl(std::int64_t number, const std::vector<Revoked>& revoked,
                                        std::int64_t last_update = first_date) const {
    return make_crl(certificate_, key_, number, revoked, last_update);
  }

 private:
  struct Identity;
  Authority(FleetName fleet, Certificate certificate, Key key)
      : fleet_(std::move(fleet)), certificate_(std::move(certificate)), key_(std::move(key)) {}
  [[nodiscard]] Result<Certificate> issue_to(const PublicKey& key, const std::string& kind, const std::string& name,
                                             std::int64_t not_after) const;
  [[nodiscard]] Result<Certificate> issue(const PublicKey& key, const Identity& identity) const;

  FleetName fleet_;
  Certificate certificate_;
  Key key_;
};

}  // namespace edgefleet::pki
