#include "coordinator/access/enrolment.hpp"

#include <algorithm>

#include "common/core/ids.hpp"
#include "common/files/text_digest.hpp"
#include "common/pki/dates.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/patterns.hpp"
#include "coordinator/access/revoked.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/access/transaction.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::int64_t day = 86'400;
constexpr std::int64_t release_date = 1'793'491'200;  // 2026-11-01; a clock that shows an earlier time is wrong
constexpr std::size_t suffix_letters = 4;
constexpr std::size_t longest_name = 63;
constexpr std::int64_t ended_kept = 7 * day;  // until then another clock could take a certificate for valid
constexpr std::int64_t renewals_of_a_life = 24;
constexpr Duration longest_ttl = std::chrono::hours(24 * 365);

constexpr const char* agent_columns =
    "name, serial, key_sha256, certificate, not_after, enrolled_at, capabilities, machine, token_id, ephemeral";
constexpr const char* token_columns = "id, uses, used, expires_at, name, capabilities, created_by, digest, ephemeral";

EnrolledAgent read_agent(SQLite::Statement& row) {
  EnrolledAgent agent;
  agent.name = row.getColumn(0).getString();
  agent.serial = row.getColumn(1).getString();
  agent.key_sha256 = row.getColumn(2).getString();
  agent.certificate = row.getColumn(3).getString();
  agent.not_after = row.getColumn(4).getInt64();
  agent.enrolled = WallTime{row.getColumn(5).getInt64()};
  agent.capabilities = patterns_of_lines(row.getColumn(6).getString());
  agent.machine = row.getColumn(7).getString();
  agent.token_id = row.getColumn(8).getString();
  agent.ephemeral = row.getColumn(9).getInt() != 0;
  return agent;
}

JoinToken read_token(SQLite::Statement& row) {
  JoinToken token;
  token.id = row.getColumn(0).getString();
  token.uses = row.getColumn(1).getInt64();
  token.used = row.getColumn(2).getInt64();
  token.expires = WallTime{row.getColumn(3).getInt64()};
  token.name = row.getColumn(4).getString();
  token.capabilities = patterns_of_lines(row.getColumn(5).getString());
  token.created_by = row.getColumn(6).getString();
  token.ephemeral = row.getColumn(8).getInt() != 0;
  return token;
}

Error bad_token(const std::string& why) {
  return Error{"this join token " + why + "; make another one with `edgefleet join-token create`",
               ErrorKind::forbidden};
}

std::optional<EnrolledAgent> agent_where(SQLite::Database& db, const std::string& column, const std::string& value) {
  SQLite::Statement row(db, std::string("SELECT ") + agent_columns + " FROM agents WHERE " + column + " = ?");
  row.bind(1, value);
  return row.executeStep() ? std::optional(read_agent(row)) : std::nullopt;
}

void note_issued(SQLite::Database& db, const EnrolledAgent& agent, std::int64_t now) {
  SQLite::Statement ended(db, "DELETE FROM issued WHERE not_after < ?");
  ended.bind(1, now - ended_kept);
  ended.exec();
  SQLite::Statement row(db, "INSERT OR REPLACE INTO issued VALUES (?, ?, ?)");
  row.bind(1, agent.serial);
  row.bind(2, agent.name);
  row.bind(3, agent.not_after);
  row.exec();
}

// All certificates of the name that have not ended, also those from before a renewal, and those that wait.
void mark_revoked(SQLite::Database& db, const std::string& name, std::int64_t now) {
  for (const char* table : {"issued", "unknown_agents"}) {
    SQLite::Statement row(
        db, std::string("INSERT OR IGNORE INTO revoked SELECT serial, ?, not_after FROM ") + table + " WHERE name = ?");
    row.bind(1, now);
    row.bind(2, name);
    row.exec();
    SQLite::Statement gone(db, std::string("DELETE FROM ") + table + " WHERE name = ?");
    gone.bind(1, name);
    gone.exec();
  }
  raise_crl_number(db);
}

// Of an ephemeral agent: it is no longer known, which is enough for a certificate that ends within a day.
void forget_issued(SQLite::Database& db, const std::string& name) {
  SQLite::Statement row(db, "DELETE FROM issued WHERE name = ?");
  row.bind(1, name);
  row.exec();
}

// The beginning of the machine's id, so that the same machine gets the same suffix, or random letters.
std::string suffix_of(const std::string& machine, int attempt) {
  const bool usable = attempt == 0 && machine.size() >= suffix_letters;
  const std::string digest = sha256(usable ? machine : make_secret("").text);
  return digest.substr(0, suffix_letters);
}

// A free name: the wanted one, or with a suffix if the machine has only its host's name.
Result<std::string> free_name(SQLite::Database& db, const join::Machine& machine) {
  if (!AccessDatabase::is_taken(db, machine.name) && !reserved_name(machine.name)) return machine.name;
  if (machine.named) {
    return Error{"the name " + machine.name +
                     " is taken; choose another one with --name, or let an operator make a token for that name "
                     "(`edgefleet join-token create --name " +
                     machine.name + "`), which replaces the machine that has it",
                 ErrorKind::conflict};
  }
  for (int attempt = 0; attempt < 20; ++attempt) {
    const std::string name =
        machine.name.substr(0, longest_name - suffix_letters - 1) + '-' + suffix_of(machine.id, attempt);
    if (!AccessDatabase::is_taken(db, name)) return name;
  }
  return Error{"no free name like " + machine.name + " was found; choose one with --name", ErrorKind::conflict};
}

// `fixed`: the only name that it may have, or empty.
Result<std::string> take_free_name(SQLite::Database& db, join::Machine machine, const std::string& fixed) {
  if (!fixed.empty()) machine = {fixed, true, machine.id};
  auto name = free_name(db, machine);
  if (!name) return name;
  if (auto taken = AccessDatabase::take_name(db, *name, "agent"); !taken) return taken.error();
  return name;
}

}  // namespace

void Enrolment::insert(SQLite::Database& db, const EnrolledAgent& agent) {
  SQLite::Statement row(db, "INSERT OR REPLACE INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  row.bind(1, agent.name);
  row.bind(2, agent.serial);
  row.bind(3, agent.key_sha256);
  row.bind(4, agent.certificate);
  row.bind(5, agent.not_after);
  row.bind(6, agent.enrolled.unix_ms);
  row.bind(7, lines_of_patterns(agent.capabilities));
  row.bind(8, agent.machine);
  row.bind(9, agent.token_id);
  row.bind(10, agent.ephemeral ? 1 : 0);
  row.exec();
}

// What a certificate is issued for.
struct Enrolment::Issue {
  std::string who;
  const pki::PublicKey& key;
  join::Machine machine;
  std::string fixed_name{};  // by a token or a person: it replaces an agent of that name
  std::vector<std::string> capabilities{};
  std::string token_id{};
  bool ephemeral = false;
};

Result<std::unique_ptr<Enrolment>> Enrolment::open(AccessDatabase& database, const pki::Authority& authority,
                                                   std::function<std::int64_t()> seconds_now,
                                                   std::int64_t longest_life) {
  std::unique_ptr<Enrolment> enrolment(new Enrolment(database, authority, std::move(seconds_now), longest_life));
  if (auto loaded = enrolment->load(); !loaded) return loaded.error();
  return enrolment;
}

Status Enrolment::load() {
  const auto read = database_.read("reading the enrolled agents", [&](SQLite::Database& db) -> Status {
    SQLite::Statement rows(db, std::string("SELECT ") + agent_columns + " FROM agents");
    while (rows.executeStep()) keep(read_agent(rows), {});
    return success();
  });
  return read ? load_unknown() : read;
}

Status Enrolment::load_unknown() {
  std::map<std::string, UnknownAgent> all;
  std::unordered_set<std::string> revoked;
  auto read = database_.read("reading who is not enrolled", [&](SQLite::Database& db) -> Status {
    SQLite::Statement ended(db, "SELECT serial FROM revoked");
    while (ended.executeStep()) revoked.insert(ended.getColumn(0).getString());
    SQLite::Statement rows(
        db, "SELECT serial, name, key_sha256, certificate, not_after, seen_at, address FROM unknown_agents");
    while (rows.executeStep()) {
      UnknownAgent one{rows.getColumn(1).getString(), rows.getColumn(0).getString(),
                       rows.getColumn(2).getString(), rows.getColumn(3).getString(),
                       rows.getColumn(4).getInt64(),  WallTime{rows.getColumn(5).getInt64()},
                       rows.getColumn(6).getString()};
      all.emplace(one.serial, std::move(one));
    }
    return success();
  });
  if (!read) return read;
  const std::lock_guard lock(mutex_);
  unknown_ = std::move(all);
  revoked_ = std::move(revoked);
  return success();
}

void Enrolment::keep(const EnrolledAgent& agent, const std::string& old_serial) {
  const std::lock_guard lock(mutex_);
  by_serial_.erase(old_serial);
  by_serial_[agent.serial] = agent.name;
  by_name_[agent.name] = agent;
}

// ---- tokens

std::int64_t Enrolment::certificate_life(bool ephemeral) const {
  const std::int64_t usual = ephemeral ? ephemeral_hours * 3600 : certificate_days * day;
  return longest_life_ > 0 ? std::min(usual, longest_life_) : usual;
}

Result<NewJoinToken> Enrolment::create_token(const std::string& who, JoinToken token, std::optional<Duration> ttl) {
  if (!token.name.empty() && (!valid_name(token.name) || reserved_name(token.name))) {
    return invalid("\"" + token.name.substr(0, longest_name) + "\" is no name for an agent: " + std::string(name_rule));
  }
  if (auto good = check_patterns(token.capabilities, "capabilities"); !good) return good.error();
  if (token.uses < 0 || token.uses > 100'000) return invalid("a join token has 1 to 100000 uses, or no limit");
  if (!token.ephemeral && (token.uses == 0 || !ttl)) {
    return invalid("only a join token for ephemeral agents may be without a limit of uses or of time");
  }
  if (!token.name.empty() && token.uses != 1 && !token.ephemeral)
    return invalid("a join token for one name has one use");
  if (ttl && (*ttl <= Duration{0} || *ttl > longest_ttl)) return invalid("a join token is good for at most a year");
  const Secret secret = make_secret(join_prefix);
  token.id = secret.id;
  token.used = 0;
  token.created_by = who;
  token.expires = WallTime{ttl ? seconds_now_() * 1000 + to_ms(*ttl) : pki::last_date * 1000};
  const std::int64_t now_ms = seconds_now_() * 1000;
  const Status written = database_.write(
      {wall_now(), who, "join-token.create", token.id + (token.name.empty() ? "" : " for " + token.name)},
      [&](SQLite::Database& db, AuditEntry&) -> Status {
        SQLite::Statement ended(db, "DELETE FROM join_tokens WHERE expires_at < ?");
        ended.bind(1, now_ms);
        ended.exec();
        if (db.execAndGet("SELECT count(*) FROM join_tokens").getInt64() >= std::int64_t(most_tokens)) {
          return Error{"there are " + std::to_string(most_tokens) + " join tokens already; revoke some",
                       ErrorKind::busy};
        }
        if (!token.name.empty()) {
          SQLite::Statement taken(db, "SELECT kind FROM names WHERE name = ? AND kind <> 'agent'");
          taken.bind(1, token.name);
          if (taken.executeStep()) {
            return Error{"the name " + token.name + " is taken (" + taken.getColumn(0).getString() + ")",
                         ErrorKind::conflict};
          }
        }
        SQLite::Statement row(db, "INSERT INTO join_tokens VALUES (?, ?, ?, 0, ?, ?, ?, ?, ?)");
        row.bind(1, token.id);
        row.bind(2, secret_digest(secret.text));
        row.bind(3, token.uses);
        row.bind(4, token.expires.unix_ms);
        row.bind(5, token.name);
        row.bind(6, lines_of_patterns(token.capabilities));
        row.bind(7, token.created_by);
        row.bind(8, token.ephemeral ? 1 : 0);
        row.exec();
        return success();
      });
  if (!written) return written.error();
  return NewJoinToken{std::move(token), secret.text};
}

Result<std::vector<JoinToken>> Enrolment::tokens() const {
  return database_.read("reading the join tokens", [&](SQLite::Database& db) -> Result<std::vector<JoinToken>> {
    SQLite::Statement rows(
        db, std::string("SELECT ") + token_columns + " FROM join_tokens WHERE expires_at > ? ORDER BY id");
    rows.bind(1, seconds_now_() * 1000);
    std::vector<JoinToken> all;
    while (rows.executeStep()) all.push_back(read_token(rows));
    return all;
  });
}

Status Enrolment::revoke_token(const std::string& who, const std::string& id) {
  return database_.write({wall_now(), who, "join-token.revoke", id.substr(0, longest_name)},
                         [&](SQLite::Database& db, AuditEntry&) -> Status {
                           SQLite::Statement row(db, "DELETE FROM join_tokens WHERE id = ?");
                           row.bind(1, id);
                           if (row.exec() > 0) return success();
                           return Error{"there is no join token " + id.substr(0, longest_name), ErrorKind::not_found};
                         });
}

// ---- certificates

// A certificate with an end needs a clock that is right: not before what the store has seen already.
Status Enrolment::check_clock() const {
  const std::int64_t now = seconds_now_();
  std::int64_t latest = release_date;
  auto read = database_.read("reading the latest date", [&](SQLite::Database& db) -> Status {
    latest = std::max(latest, db.execAndGet("SELECT coalesce(max(enrolled_at), 0) FROM agents").getInt64() / 1000);
    return success();
  });
  if (!read) return read;
  if (now + day >= latest) return success();
  return Error{
      "the coordinator's clock is wrong: it shows a time before this release, or before the last machine joined. "
      "Certificates that end can be issued only with the right time; set the clock and try again",
      ErrorKind::unavailable};
}

Result<EnrolledAgent> Enrolment::join(const std::string& secret, const pki::PublicKey& key,
                                      const join::Machine& machine) {
  const auto id = secret_id(join_prefix, secret);
  if (!id) return bad_token("is not one of this fleet");
  const std::lock_guard change(changing_);
  JoinToken token;
  std::optional<EnrolledAgent> before;
  const auto found = database_.read("reading a join token", [&](SQLite::Database& db) -> Status {
    SQLite::Statement row(db, std::string("SELECT ") + token_columns + " FROM join_tokens WHERE id = ?");
    row.bind(1, *id);
    if (!row.executeStep() || !same_digest(row.getColumn(7).getString(), secret_digest(secret))) {
      return bad_token("is not, or no longer, one of this fleet");
    }
    token = read_token(row);
    before = agent_where(db, "key_sha256", key.sha256());
    return success();
  });
  if (!found) return found.error();
  if (token.expires.unix_ms <= seconds_now_() * 1000) return bad_token("has ended");
  if (before && before->token_id == token.id) return *before;
  if (token.uses > 0 && token.used >= token.uses) return bad_token("has been used");
  return issue({std::string(actor::join_token) + " " + token.id, key, machine, token.name, token.capabilities, token.id,
                token.ephemeral});
}

Result<EnrolledAgent> Enrolment::accept(const std::string& who, const pki::PublicKey& key,
                                        const join::Machine& machine) {
  const std::lock_guard change(changing_);
  return issue({who, key, machine, machine.named ? machine.name : "", {}, {}});
}

Result<EnrolledAgent> Enrolment::issue(const Issue& wanted) {
  if (!valid_name(wanted.machine.name)) {
    return invalid("\"" + wanted.machine.name.substr(0, longest_name) +
                   "\" is no name for an agent: " + std::string(name_rule));
  }
  if (!wanted.fixed_name.empty() && reserved_name(wanted.fixed_name)) {
    return Error{"the name " + wanted.fixed_name + " is reserved; choose another one", ErrorKind::conflict};
  }
  if (auto right = check_clock(); !right) return right.error();
  const std::int64_t now = seconds_now_();
  EnrolledAgent agent;
  agent.key_sha256 = wanted.key.sha256();
  agent.ephemeral = wanted.ephemeral;
  agent.not_after = now + certificate_life(wanted.ephemeral);
  agent.enrolled = WallTime{now * 1000};
  agent.capabilities = wanted.capabilities;
  agent.machine = wanted.machine.id.substr(0, longest_name);
  agent.token_id = wanted.token_id;
  std::string old_serial;
  const Status written = database_.write(
      {wall_now(), wanted.who, "agent.join", ""}, [&](SQLite::Database& db, AuditEntry& entry) -> Status {
        if (db.execAndGet("SELECT count(*) FROM agents").getInt64() >= std::int64_t(most_agents)) {
          return Error{"there are " + std::to_string(most_agents) + " agents already", ErrorKind::busy};
        }
        // A key is one agent's: it could otherwise have two names.
        if (const auto same = agent_where(db, "key_sha256", agent.key_sha256);
            same && same->name != wanted.fixed_name) {
          return Error{"this key is already enrolled, as agent " + same->name + "; join with a new key",
                       ErrorKind::conflict};
        }
        const auto known = wanted.fixed_name.empty() ? std::nullopt : agent_where(db, "name", wanted.fixed_name);
        if (known) {
          known->ephemeral ? forget_issued(db, known->name) : mark_revoked(db, known->name, now);
          old_serial = known->serial;
          agent.name = known->name;
        } else {
          const auto name = take_free_name(db, wanted.machine, wanted.fixed_name);
          if (!name) return name.error();
          agent.name = *name;
        }
        const auto issued = authority_.issue_agent(wanted.key, *AgentName::parse(agent.name), agent.not_after);
        if (!issued) return issued.error();
        agent.serial = issued->serial();
        agent.certificate = issued->pem();
        insert(db, agent);
        note_issued(db, agent, now);
        if (!wanted.token_id.empty()) {
          SQLite::Statement used(db, "UPDATE join_tokens SET used = used + 1 WHERE id = ?");
          used.bind(1, wanted.token_id);
          used.exec();
        }
        entry.about = agent.name + (known ? ", which replaces the machine that had this name" : "");
        return success();
      });
  if (!written) return written.error();
  keep(agent, old_serial);
  if (auto loaded = old_serial.empty() ? success() : load_unknown(); !loaded) return loaded.error();
  return agent;
}

Result<EnrolledAgent> Enrolment::renew(const std::string& name, const pki::PublicKey& key) {
  const std::lock_guard change(changing_);
  auto agent = find(name);
  if (!agent) return Error{"agent " + name.substr(0, longest_name) + " is not enrolled", ErrorKind::not_found};
  if (auto right = check_clock(); !right) return right.error();
  // So an agent that asks again and again does not fill the store.
  const std::int64_t life = certificate_life(agent->ephemeral);
  if (agent->key_sha256 == key.sha256() && agent->not_after - seconds_now_() > life - life / renewals_of_a_life) {
    return *agent;
  }
  const std::string old_serial = agent->serial;
  agent->key_sha256 = key.sha256();
  agent->not_after = seconds_now_() + life;
  const auto issued = authority_.issue_agent(key, *AgentName::parse(name), agent->not_after);
  if (!issued) return issued.error();
  agent->serial = issued->serial();
  agent->certificate = issued->pem();
  const Status written =
      database_.write({wall_now(), name, "agent.renew", name}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        const auto same = agent_where(db, "key_sha256", agent->key_sha256);
        if (same && same->name != name) return Error{"this key is another agent's", ErrorKind::conflict};
        insert(db, *agent);
        note_issued(db, *agent, seconds_now_());
        return success();
      });
  if (!written) return written.error();
  keep(*agent, old_serial);
  return *agent;
}

Status Enrolment::revoke(const std::string& who, const std::string& name) {
  const std::lock_guard change(changing_);
  const auto agent = find(name);
  const bool waits = std::ranges::any_of(unknown(), [&](const UnknownAgent& one) { return one.name == name; });
  if (!agent && !waits)
    return Error{"agent " + name.substr(0, longest_name) + " is not enrolled", ErrorKind::not_found};
  Status written =
      database_.write({wall_now(), who, "agent.revoke", name}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        mark_revoked(db, name, seconds_now_());
        SQLite::Statement row(db, "DELETE FROM agents WHERE name = ?");
        row.bind(1, name);
        if (row.exec() > 0) AccessDatabase::free_name(db, name);
        return success();
      });
  if (!written) return written;
  if (agent) {
    const std::lock_guard lock(mutex_);
    by_serial_.erase(agent->serial);
    by_name_.erase(name);
  }
  return load_unknown();
}

Status Enrolment::forget(const std::string& name) {
  const std::lock_guard change(changing_);
  const auto agent = find(name);
  if (!agent || !agent->ephemeral) return Error{name + " is no ephemeral agent", ErrorKind::not_found};
  Status written =
      database_.write({wall_now(), "coordinator", "agent.forget", name}, [&](SQLite::Database& db, AuditEntry&) {
        forget_issued(db, name);
        SQLite::Statement row(db, "DELETE FROM agents WHERE name = ?");
        row.bind(1, name);
        row.exec();
        AccessDatabase::free_name(db, name);
        return success();
      });
  if (!written) return written;
  const std::lock_guard lock(mutex_);
  by_serial_.erase(agent->serial);
  by_name_.erase(name);
  return success();
}

Result<std::vector<std::string>> Enrolment::unite(const pki::RevocationList& list) {
  const std::lock_guard change(changing_);
  const std::int64_t now = seconds_now_();
  std::vector<std::string> names;
  for (const EnrolledAgent& agent : agents()) {
    if (list.contains(agent.serial)) names.push_back(agent.name);
  }
  const std::string about = "number " + std::to_string(list.number) + ", " + std::to_string(names.size()) + " agents";
  const Status written = database_.write(
      {wall_now(), "coordinator", "crl.unite", about}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        for (const auto& [serial, at] : list.revoked) mark_listed(db, serial, at, now + (certificate_days + 1) * day);
        db.exec("DELETE FROM join_tokens");  // they may have been used or revoked since
        SQLite::Statement number(db, "INSERT OR REPLACE INTO numbers VALUES ('crl', ?)");
        number.bind(1, list.number + 1);
        number.exec();
        for (const std::string& name : names) {
          SQLite::Statement row(db, "DELETE FROM agents WHERE name = ?");
          row.bind(1, name);
          row.exec();
          AccessDatabase::free_name(db, name);
        }
        for (const char* table : {"issued", "unknown_agents"})
          db.exec(std::string("DELETE FROM ") + table + " WHERE serial IN (SELECT serial FROM revoked)");
        return success();
      });
  if (!written) return written.error();
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : names) {
      by_serial_.erase(by_name_.at(name).serial);
      by_name_.erase(name);
    }
  }
  if (auto loaded = load_unknown(); !loaded) return loaded.error();
  return names;
}

Status Enrolment::forget_all(AccessDatabase& database, const std::string& who) {
  return database.write({wall_now(), who, "fleet.new-ca", "all agents join anew"},
                        [](SQLite::Database& db, AuditEntry&) -> Status {
                          for (const char* table : {"agents", "issued", "unknown_agents", "join_tokens"})
                            db.exec(std::string("DELETE FROM ") + table);
                          db.exec("DELETE FROM names WHERE kind = 'agent'");
                          raise_crl_number(db);
                          return success();
                        });
}

Result<std::vector<std::string>> Enrolment::names(const AccessDatabase& database) {
  return database.read("reading the enrolled agents", [](SQLite::Database& db) -> Result<std::vector<std::string>> {
    std::vector<std::string> all;
    SQLite::Statement rows(db, "SELECT name FROM agents ORDER BY name");
    while (rows.executeStep()) all.push_back(rows.getColumn(0).getString());
    return all;
  });
}

Status Enrolment::revoke_certificate(const std::string& who, const pki::Certificate& certificate) {
  const std::lock_guard change(changing_);
  const auto list = revoked();
  if (!list) return list.error();
  if (std::ranges::find(list->revoked, certificate.serial(), &pki::Revoked::serial) != list->revoked.end()) {
    return success();
  }
  return database_.write({wall_now(), who, "certificate.revoke", certificate.serial()},
                         [&](SQLite::Database& db, AuditEntry&) -> Status {
                           mark_listed(db, certificate.serial(), seconds_now_(), certificate.not_after());
                           raise_crl_number(db);
                           return success();
                         });
}

// ---- lookups

std::optional<EnrolledAgent> Enrolment::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

bool Enrolment::has(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return by_name_.contains(name);
}

std::optional<std::string> Enrolment::owner_of(const std::string& serial) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_serial_.find(serial);
  return found == by_serial_.end() ? std::nullopt : std::optional(found->second);
}

// ---- certificates of this fleet that the store does not know: it was restored from a backup that is older than they

bool Enrolment::is_from_before_renewal(const pki::Certificate& certificate) const {
  const std::lock_guard lock(mutex_);
  const auto found = by_name_.find(*certificate.common_name());
  return found != by_name_.end() && found->second.key_sha256 == certificate.public_key()->sha256() &&
         certificate.not_after() <= found->second.not_after && !revoked_.contains(certificate.serial());
}

// The key of an enrolled agent is that machine, whose certificate was renewed after the backup.
std::optional<std::string> Enrolment::recognise(const pki::Certificate& certificate, const std::string& address) {
  const auto& name = certificate.common_name();
  const auto& key = certificate.public_key();
  if (!name || !key || !valid_name(*name) || reserved_name(*name)) return std::nullopt;
  if (is_from_before_renewal(certificate)) return *name;
  // It may be one of an ephemeral agent that was forgotten.
  if (certificate.not_after() <= seconds_now_() + certificate_life(true)) return std::nullopt;
  {
    const std::lock_guard lock(mutex_);
    if (unknown_.contains(certificate.serial()) || revoked_.contains(certificate.serial())) return std::nullopt;
  }
  const std::lock_guard change(changing_);
  auto agent = find(*name);
  const bool renewed = agent && agent->key_sha256 == key->sha256() && certificate.not_after() > agent->not_after;
  if (!renewed) {
    note_unknown({*name, certificate.serial(), key->sha256(), certificate.pem(), certificate.not_after(),
                  WallTime{seconds_now_() * 1000}, address});
    return std::nullopt;
  }
  const std::string old_serial = agent->serial;
  agent->serial = certificate.serial();
  agent->certificate = certificate.pem();
  agent->not_after = certificate.not_after();
  const Status written = database_.write({wall_now(), *name, "agent.recognise", *name + ", renewed after the backup"},
                                         [&](SQLite::Database& db, AuditEntry&) -> Status {
                                           insert(db, *agent);
                                           note_issued(db, *agent, seconds_now_());
                                           return success();
                                         });
  if (!written) return std::nullopt;
  keep(*agent, old_serial);
  return *name;
}

void Enrolment::note_unknown(const UnknownAgent& agent) {
  if (unknown().size() >= most_unknown) return;
  const Status written = database_.write({wall_now(), agent.name, "agent.unknown", agent.name + " at " + agent.address},
                                         [&](SQLite::Database& db, AuditEntry&) -> Status {
                                           insert_unknown(db, agent);
                                           return success();
                                         });
  if (!written) return;
  const std::lock_guard lock(mutex_);
  unknown_[agent.serial] = agent;
}

void Enrolment::insert_unknown(SQLite::Database& db, const UnknownAgent& agent) {
  SQLite::Statement row(db, "INSERT OR REPLACE INTO unknown_agents VALUES (?, ?, ?, ?, ?, ?, ?)");
  row.bind(1, agent.serial);
  row.bind(2, agent.name);
  row.bind(3, agent.key_sha256);
  row.bind(4, agent.certificate);
  row.bind(5, agent.not_after);
  row.bind(6, agent.seen.unix_ms);
  row.bind(7, agent.address);
  row.exec();
}

std::vector<UnknownAgent> Enrolment::unknown() const {
  std::vector<UnknownAgent> all;
  {
    const std::lock_guard lock(mutex_);
    all.reserve(unknown_.size());
    for (const auto& [serial, agent] : unknown_) all.push_back(agent);
  }
  std::ranges::stable_sort(all, {}, &UnknownAgent::name);
  return all;
}

// The one that waits under this name, and with this serial if one is given.
Result<UnknownAgent> Enrolment::waiting(const std::string& name, const std::string& serial) const {
  std::vector<UnknownAgent> all = unknown();
  std::erase_if(all,
                [&](const UnknownAgent& one) { return one.name != name || (!serial.empty() && one.serial != serial); });
  if (all.empty()) {
    return Error{"no agent named " + name.substr(0, longest_name) +
                     " with a certificate that this coordinator does not know has been seen; `edgefleet agents "
                     "unknown` lists them",
                 ErrorKind::not_found};
  }
  if (all.size() > 1) {
    return Error{std::to_string(all.size()) + " certificates named " + name +
                     " wait; choose one by its serial, as `edgefleet agents unknown` shows it",
                 ErrorKind::conflict};
  }
  return all.front();
}

Result<EnrolledAgent> Enrolment::readmit(const std::string& who, const std::string& name, const std::string& serial) {
  const std::lock_guard change(changing_);
  const auto wanted = waiting(name, serial);
  if (!wanted) return wanted.error();
  EnrolledAgent agent;
  agent.name = wanted->name;
  agent.serial = wanted->serial;
  agent.key_sha256 = wanted->key_sha256;
  agent.certificate = wanted->certificate;
  agent.not_after = wanted->not_after;
  agent.enrolled = WallTime{seconds_now_() * 1000};
  std::string old_serial;
  const Status written =
      database_.write({wall_now(), who, "agent.readmit", ""}, [&](SQLite::Database& db, AuditEntry& entry) -> Status {
        const auto same = agent_where(db, "key_sha256", agent.key_sha256);
        if (same && same->name != name)
          return Error{"its key is that of agent " + same->name + "; revoke one of them", ErrorKind::conflict};
        SQLite::Statement gone(db, "DELETE FROM unknown_agents WHERE serial = ?");
        gone.bind(1, agent.serial);
        gone.exec();
        if (const auto known = agent_where(db, "name", name)) {
          mark_revoked(db, name, seconds_now_());
          old_serial = known->serial;
          agent.capabilities = known->capabilities;
        } else if (auto taken = AccessDatabase::take_name(db, name, "agent"); !taken) {
          return taken;
        }
        insert(db, agent);
        note_issued(db, agent, seconds_now_());
        entry.about = name + (old_serial.empty() ? "" : ", which replaces the machine that had this name");
        return success();
      });
  if (!written) return written.error();
  keep(agent, old_serial);
  if (auto loaded = load_unknown(); !loaded) return loaded.error();
  return agent;
}

std::vector<std::string> Enrolment::ephemeral() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [name, agent] : by_name_) {
    if (agent.ephemeral) all.push_back(name);
  }
  return all;
}

std::vector<EnrolledAgent> Enrolment::agents() const {
  std::vector<EnrolledAgent> all;
  {
    const std::lock_guard lock(mutex_);
    all.reserve(by_name_.size());
    for (const auto& [name, agent] : by_name_) all.push_back(agent);
  }
  std::ranges::sort(all, {}, &EnrolledAgent::name);
  return all;
}

Result<pki::RevocationList> Enrolment::revoked() const {
  pki::RevocationList list;
  const auto read = database_.read("reading what is revoked", [&](SQLite::Database& db) -> Status {
    list.number = db.execAndGet("SELECT coalesce(max(value), 0) FROM numbers WHERE name = 'crl'").getInt64();
    SQLite::Statement rows(db, "SELECT serial, at FROM revoked WHERE not_after > ? ORDER BY serial");
    rows.bind(1, seconds_now_() - ended_kept);
    while (rows.executeStep()) {
      list.revoked.push_back({rows.getColumn(0).getString(), rows.getColumn(1).getInt64()});
    }
    return success();
  });
  if (!read) return read.error();
  return list;
}

}  // namespace edgefleet::coordinator
