// Which machines are agents of this fleet: their certificates, the join tokens that made them, and what is revoked.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/join/messages.hpp"
#include "common/pki/authority.hpp"
#include "coordinator/access/database.hpp"
#include "coordinator/access/settled_date.hpp"

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
  bool ephemeral = false;  // forgotten when it is gone
};

// A machine with a certificate of this fleet's authority that the store does not know and nobody has revoked: it was
// enrolled after the backup that the store was restored from. It waits for a person's word.
struct UnknownAgent {
  std::string name;
  std::string serial;
  std::string key_sha256;
  std::string certificate;     // PEM
  std::int64_t not_after = 0;  // seconds since 1970
  WallTime seen;
  std::string address;  // that it was seen at; empty: it was in the store that the backup has replaced
};

struct JoinToken {
  std::string id;
  std::int64_t uses = 1;  // 0: without a limit
  std::int64_t used = 0;
  WallTime expires;
  std::string name;  // of the agent; empty: any
  std::vector<std::string> capabilities;
  std::string created_by;
  bool ephemeral = false;  // so are the agents that join with it
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
  static constexpr std::size_t most_unknown = 1'000;
  static constexpr std::size_t most_unknown_of_name = 2;  // so that one machine does not fill the list
  static constexpr std::size_t most_live = 3;             // certificates of a name that have not ended
  static constexpr std::size_t most_issued = 300'000;     // certificates that have not ended
  static constexpr std::int64_t most_listed_by_token = 200;  // entries in the list of revoked certificates
  static constexpr std::int64_t certificate_days = 365;
  static constexpr std::int64_t ephemeral_hours = 24;  // of the certificates of ephemeral agents

  // Seconds from its issue to its end.
  [[nodiscard]] std::int64_t certificate_life(bool ephemeral) const;

  // `seconds_now`: since 1970, of the clock that certificates are issued by. `longest_life`: of certificates, seconds;
  // 0: as long as usual.
  static Result<std::unique_ptr<Enrolment>> open(AccessDatabase& database, const pki::Authority& authority,
                                                 std::function<std::int64_t()> seconds_now,
                                                 std::int64_t longest_life = 0);
  Enrolment(const Enrolment&) = delete;
  Enrolment& operator=(const Enrolment&) = delete;
  Enrolment(Enrolment&&) = delete;
  Enrolment& operator=(Enrolment&&) = delete;
  ~Enrolment() = default;

  // `ttl`: none: it is good until it is revoked. Errors: invalid (a name or number that is none), conflict (an access
  // has the name), busy (too many).
  Result<NewJoinToken> create_token(const std::string& who, JoinToken wanted, std::optional<Duration> ttl);
  Result<std::vector<JoinToken>> tokens() const;  // by id, without those that have ended
  Status revoke_token(const std::string& who, const std::string& id);

  // Issues a certificate. The same token and key have the same answer until the token ends. Errors: forbidden (no such
  // token, or it has ended or is used up), conflict (the name is taken), invalid, unavailable (the clock is wrong).
  Result<EnrolledAgent> join(const std::string& secret, const pki::PublicKey& key, const join::Machine& machine);
  // The same for a machine whose code the person `who` has accepted; a known name is replaced, its certificate revoked.
  // Whoever gets a name that another key had: the certificates of that key are revoked, and has_session_to_end().
  // A key that a person has revoked is refused.
  Result<EnrolledAgent> accept(const std::string& who, const pki::PublicKey& key, const join::Machine& machine);
  // A new certificate for the owner of an enrolled one, in the last third of its life. Before, the same key is given
  // the certificate that it has (the answer to a renewal may not have arrived), and another key is an error: busy.
  Result<EnrolledAgent> renew(const std::string& name, const pki::PublicKey& key);
  // All certificates of this name that have not ended, and their keys. `serial`: only this one, whether it is known or
  // not, unless it is the agent's present one.
  Status revoke(const std::string& who, const std::string& name, const std::string& serial = {});
  // Of an ephemeral agent that is gone. Nothing is added to the list of revoked certificates: a certificate that is not
  // known is refused, it ends within a day, and it is revoked if another machine gets the name before.
  Status forget(const std::string& name);
  // Names whose certificates were revoked while their sessions at the broker may go on; they are kept until then.
  [[nodiscard]] std::vector<std::string> sessions_to_end() const;
  [[nodiscard]] bool has_session_to_end(const std::string& name) const;
  Status session_ended(const std::string& name);

  // Call every few minutes: what has ended is removed by the date that settles (SettledDate).
  Status look_at_clock(Time mono);
  [[nodiscard]] WallTime settled() const;
  // A certificate that is no agent's; nothing changes if it is revoked already.
  Status revoke_certificate(const std::string& who, const pki::Certificate& certificate);

  // `certificate`: verified by the authority, its owner has the key, and owner_of() does not know it. The name of the
  // agent if it is an enrolled one with another certificate of its key: one that the store does not know, or one from
  // before a renewal whose answer has not arrived. Otherwise it is noted, and nobody. Waits for a disk once for each
  // certificate, not at all for one that is revoked.
  std::optional<std::string> recognise(const pki::Certificate& certificate, const std::string& address);
  [[nodiscard]] std::vector<UnknownAgent> unknown() const;  // by name
  // Enrols the unknown agent of this name as it is; `serial`: if there are several, otherwise empty. One that is
  // enrolled under the name is replaced and revoked, and what it may offer holds on. Errors: not_found, conflict.
  Result<EnrolledAgent> readmit(const std::string& who, const std::string& name, const std::string& serial);
  // Within a change of the database; one of the same name, or serial, is replaced.
  static void insert(SQLite::Database& db, const EnrolledAgent& agent);
  static void insert_unknown(SQLite::Database& db, const UnknownAgent& agent);

  // Takes over what a list of a higher number has, as after a restore of data that is older than the list, and gets a
  // higher number itself. The names of the agents that are revoked by it.
  Result<std::vector<std::string>> unite(const pki::RevocationList& list);
  // For another authority: no certificate and no join token of the old one is known any more. Names are free again.
  static Status forget_all(AccessDatabase& database, const std::string& who);
  static Result<std::vector<std::string>> names(const AccessDatabase& database);  // of the enrolled agents

  [[nodiscard]] std::optional<EnrolledAgent> find(const std::string& name) const;
  [[nodiscard]] bool has(const std::string& name) const;
  // The agent whose present certificate has this serial number.
  [[nodiscard]] std::optional<std::string> owner_of(const std::string& serial) const;
  [[nodiscard]] std::vector<EnrolledAgent> agents() const;  // by name
  [[nodiscard]] std::vector<std::string> ephemeral() const;  // their names
  // What the list of revoked certificates has to say. Its number rises with each change.
  [[nodiscard]] Result<pki::RevocationList> revoked() const;

 private:
  struct Issue;
  struct Ending;
  Enrolment(AccessDatabase& database, const pki::Authority& authority, std::function<std::int64_t()> seconds_now,
            std::int64_t longest_life)
      : database_(database),
        authority_(authority),
        seconds_now_(std::move(seconds_now)),
        longest_life_(longest_life),
        settled_(std::nullopt, WallTime{seconds_now_() * 1000}) {}
  Status load();
  Result<EnrolledAgent> issue(const Issue& issue);
  Status load_unknown();
  Status end_certificates(SQLite::Database& db, const Ending& ending) const;
  Status note_issued(SQLite::Database& db, const EnrolledAgent& agent, const std::string& token_id) const;
  Status check_clock() const;
  [[nodiscard]] bool is_due(std::int64_t not_after, bool ephemeral) const;
  Status certificate_for(SQLite::Database& db, EnrolledAgent& agent, const pki::PublicKey& key) const;
  Status revoke_serial(const std::string& who, const std::string& name, const std::string& serial);
  // Of an enrolled agent, and of the key that it has now. `certificate` has a name and a key.
  [[nodiscard]] bool is_from_before_renewal(const pki::Certificate& certificate) const;
  void note_unknown(const UnknownAgent& agent);
  [[nodiscard]] Result<UnknownAgent> waiting(const std::string& name, const std::string& serial) const;
  void keep(const EnrolledAgent& agent, const std::string& old_serial);

  AccessDatabase& database_;
  const pki::Authority& authority_;
  std::function<std::int64_t()> seconds_now_;
  const std::int64_t longest_life_;
  std::mutex changing_;
  mutable std::mutex mutex_;  // of the maps
  std::unordered_map<std::string, EnrolledAgent> by_name_;
  std::unordered_map<std::string, std::string> by_serial_;
  std::map<std::string, UnknownAgent> unknown_;  // by serial
  std::unordered_set<std::string> revoked_;  // serials
  std::set<std::string> sessions_to_end_;
  SettledDate settled_;
  std::int64_t settled_kept_ = 0;  // as the store has it, seconds since 1970
};

}  // namespace edgefleet::coordinator
