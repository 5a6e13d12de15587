// Which machines are agents of this fleet: their certificates, the join tokens that made them, and what is revoked.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/join/messages.hpp"
#include "common/pki/authority.hpp"
#include "coordinator/access/database.hpp"

namespace edgefleet::coordinator {

struct EnrolledAgent {
  std::string name;
  std::string serial;       // of its certificate
  std::string key_sha256;   // of its public key
  std::string certificate;  // PEM
  std::int64_t not_after = 0;  // seconds since 1970
  WallTime enrolled;
  std::vector<std::string> capabilities;  // patterns of what it may offer; empty: all
  std::string machine;
  std::string token_id;  // empty: a person accepted its code
};

struct JoinToken {
  std::string id;
  std::int64_t uses = 1;
  std::int64_t used = 0;
  WallTime expires;
  std::string name;  // of the agent; empty: any
  std::vector<std::string> capabilities;
  std::string created_by;
};

struct NewJoinToken {
  JoinToken token;
  std::string secret;  // shown once
};

// Any thread. Lookups of certificates are in memory and never wait for a disk; changes are on the disk when they
// return.
class Enrolment {
 public:
  static constexpr std::size_t most_agents = 100'000;
  static constexpr std::size_t most_tokens = 1'000;
  static constexpr std::int64_t certificate_days = 365;

  // `seconds_now`: since 1970, of the clock that certificates are issued by.
  static Result<std::unique_ptr<Enrolment>> open(AccessDatabase& database, const pki::Authority& authority,
                                                 std::function<std::int64_t()> seconds_now);
  Enrolment(const Enrolment&) = delete;
  Enrolment& operator=(const Enrolment&) = delete;
  Enrolment(Enrolment&&) = delete;
  Enrolment& operator=(Enrolment&&) = delete;
  ~Enrolment() = default;

  // Errors: invalid (a name or number that is none), conflict (an access has the name), busy (too many).
  Result<NewJoinToken> create_token(const std::string& who, JoinToken wanted, Duration ttl);
  Result<std::vector<JoinToken>> tokens() const;  // by id, without those that have ended
  Status revoke_token(const std::string& who, const std::string& id);

  // Issues a certificate. The same token and key have the same answer until the token ends. Errors: forbidden (no such
  // token, or it has ended or is used up), conflict (the name is taken), invalid, unavailable (the clock is wrong).
  Result<EnrolledAgent> join(const std::string& secret, const pki::PublicKey& key, const join::Machine& machine);
  // The same for a machine whose code the person `who` has accepted; a known name is replaced, its certificate revoked.
  Result<EnrolledAgent> accept(const std::string& who, const pki::PublicKey& key, const join::Machine& machine);
  // A new certificate for the owner of an enrolled one.
  Result<EnrolledAgent> renew(const std::string& name, const pki::PublicKey& key);
  Status revoke(const std::string& who, const std::string& name);
  // A certificate that is no agent's; nothing changes if it is revoked already.
  Status revoke_certificate(const std::string& who, const pki::Certificate& certificate);

  [[nodiscard]] std::optional<EnrolledAgent> find(const std::string& name) const;
  [[nodiscard]] bool has(const std::string& name) const;
  // The agent whose present certificate has this serial number.
  [[nodiscard]] std::optional<std::string> owner_of(const std::string& serial) const;
  [[nodiscard]] std::vector<EnrolledAgent> agents() const;  // by name
  // What the list of revoked certificates has to say. Its number rises with each change.
  [[nodiscard]] Result<pki::RevocationList> revoked() const;

 private:
  struct Issue;
  Enrolment(AccessDatabase& database, const pki::Authority& authority, std::function<std::int64_t()> seconds_now)
      : database_(database), authority_(authority), seconds_now_(std::move(seconds_now)) {}
  Status load();
  Result<EnrolledAgent> issue(const Issue& issue);
  Status check_clock() const;
  void keep(const EnrolledAgent& agent, const std::string& old_serial);

  AccessDatabase& database_;
  const pki::Authority& authority_;
  std::function<std::int64_t()> seconds_now_;
  std::mutex changing_;
  mutable std::mutex mutex_;  // of the maps
  std::unordered_map<std::string, EnrolledAgent> by_name_;
  std::unordered_map<std::string, std::string> by_serial_;
};

}  // namespace edgefleet::coordinator
