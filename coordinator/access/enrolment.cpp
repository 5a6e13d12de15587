#include "coordinator/access/enrolment.hpp"

#include <algorithm>

#include "common/core/ids.hpp"
#include "common/files/text_digest.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/patterns.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/access/transaction.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::int64_t day = 86'400;
constexpr std::int64_t release_date = 1'793'491'200;  // 2026-11-01; a clock that shows an earlier time is wrong
constexpr std::size_t suffix_letters = 4;
constexpr std::size_t longest_name = 63;
constexpr Duration longest_ttl = std::chrono::hours(24 * 365);

constexpr const char* agent_columns =
    "name, serial, key_sha256, certificate, not_after, enrolled_at, capabilities, machine, token_id";
constexpr const char* token_columns = "id, uses, used, expires_at, name, capabilities, created_by, digest";

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
  return agent;
}

void insert(SQLite::Database& db, const EnrolledAgent& agent) {
  SQLite::Statement row(db, "INSERT OR REPLACE INTO agents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  row.bind(1, agent.name);
  row.bind(2, agent.serial);
  row.bind(3, agent.key_sha256);
  row.bind(4, agent.certificate);
  row.bind(5, agent.not_after);
  row.bind(6, agent.enrolled.unix_ms);
  row.bind(7, lines_of_patterns(agent.capabilities));
  row.bind(8, agent.machine);
  row.bind(9, agent.token_id);
  row.exec();
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

void raise_number(SQLite::Database& db) {
  db.exec("INSERT INTO numbers VALUES ('crl', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1");
}

void mark_revoked(SQLite::Database& db, const std::string& serial, std::int64_t not_after, std::int64_t now) {
  SQLite::Statement row(db, "INSERT OR IGNORE INTO revoked VALUES (?, ?, ?)");
  row.bind(1, serial);
  row.bind(2, now);
  row.bind(3, not_after);
  row.exec();
  raise_number(db);
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

}  // namespace

// What a certificate is issued for.
struct Enrolment::Issue {
  std::string who;
  const pki::PublicKey& key;
  join::Machine machine;
  std::string fixed_name{};  // by a token or a person: it replaces an agent of that name
  std::vector<std::string> capabilities{};
  std::string token_id{};
};

Result<std::unique_ptr<Enrolment>> Enrolment::open(AccessDatabase& database, const pki::Authority& authority,
                                                   std::function<std::int64_t()> seconds_now) {
  std::unique_ptr<Enrolment> enrolment(new Enrolment(database, authority, std::move(seconds_now)));
  if (auto loaded = enrolment->load(); !loaded) return loaded.error();
  return enrolment;
}

Status Enrolment::load() {
  return database_.read("reading the enrolled agents", [&](SQLite::Database& db) -> Status {
    SQLite::Statement rows(db, std::string("SELECT ") + agent_columns + " FROM agents");
    while (rows.executeStep()) keep(read_agent(rows), {});
    return success();
  });
}

void Enrolment::keep(const EnrolledAgent& agent, const std::string& old_serial) {
  const std::lock_guard lock(mutex_);
  by_serial_.erase(old_serial);
  by_serial_[agent.serial] = agent.name;
  by_name_[agent.name] = agent;
}

// ---- tokens

Result<NewJoinToken> Enrolment::create_token(const std::string& who, JoinToken token, Duration ttl) {
  if (!token.name.empty() && (!valid_name(token.name) || reserved_name(token.name))) {
    return invalid("\"" + token.name.substr(0, longest_name) + "\" is no name for an agent: " + std::string(name_rule));
  }
  if (auto good = check_patterns(token.capabilities, "capabilities"); !good) return good.error();
  if (token.uses < 1 || token.uses > 100'000) return invalid("a join token has 1 to 100000 uses");
  if (!token.name.empty() && token.uses != 1) return invalid("a join token for one name has one use");
  if (ttl <= Duration{0} || ttl > longest_ttl) return invalid("a join token is good for at most a year");
  const Secret secret = make_secret(join_prefix);
  token.id = secret.id;
  token.used = 0;
  token.created_by = who;
  token.expires = WallTime{seconds_now_() * 1000 + to_ms(ttl)};
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
        SQLite::Statement row(db, "INSERT INTO join_tokens VALUES (?, ?, ?, 0, ?, ?, ?, ?)");
        row.bind(1, token.id);
        row.bind(2, secret_digest(secret.text));
        row.bind(3, token.uses);
        row.bind(4, token.expires.unix_ms);
        row.bind(5, token.name);
        row.bind(6, lines_of_patterns(token.capabilities));
        row.bind(7, token.created_by);
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
  const auto read = database_.read("reading the latest date", [&](SQLite::Database& db) -> Status {
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
  if (token.used >= token.uses) return bad_token("has been used");
  return issue({"join-token " + token.id, key, machine, token.name, token.capabilities, token.id});
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
  agent.not_after = now + certificate_days * day;
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
          mark_revoked(db, known->serial, known->not_after, now);
          old_serial = known->serial;
          agent.name = known->name;
        } else {
          join::Machine machine = wanted.machine;
          if (!wanted.fixed_name.empty()) machine = {wanted.fixed_name, true, machine.id};
          auto name = free_name(db, machine);
          if (!name) return name.error();
          if (auto taken = AccessDatabase::take_name(db, *name, "agent"); !taken) return taken;
          agent.name = *name;
        }
        const auto issued = authority_.issue_agent(wanted.key, *AgentName::parse(agent.name), agent.not_after);
        if (!issued) return issued.error();
        agent.serial = issued->serial();
        agent.certificate = issued->pem();
        insert(db, agent);
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
  return agent;
}

Result<EnrolledAgent> Enrolment::renew(const std::string& name, const pki::PublicKey& key) {
  const std::lock_guard change(changing_);
  auto agent = find(name);
  if (!agent) return Error{"agent " + name.substr(0, longest_name) + " is not enrolled", ErrorKind::not_found};
  if (auto right = check_clock(); !right) return right.error();
  const std::string old_serial = agent->serial;
  agent->key_sha256 = key.sha256();
  agent->not_after = seconds_now_() + certificate_days * day;
  const auto issued = authority_.issue_agent(key, *AgentName::parse(name), agent->not_after);
  if (!issued) return issued.error();
  agent->serial = issued->serial();
  agent->certificate = issued->pem();
  const Status written =
      database_.write({wall_now(), name, "agent.renew", name}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        const auto same = agent_where(db, "key_sha256", agent->key_sha256);
        if (same && same->name != name) return Error{"this key is another agent's", ErrorKind::conflict};
        insert(db, *agent);
        return success();
      });
  if (!written) return written.error();
  keep(*agent, old_serial);
  return *agent;
}

Status Enrolment::revoke(const std::string& who, const std::string& name) {
  const std::lock_guard change(changing_);
  const auto agent = find(name);
  if (!agent) return Error{"agent " + name.substr(0, longest_name) + " is not enrolled", ErrorKind::not_found};
  const Status written =
      database_.write({wall_now(), who, "agent.revoke", name}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        mark_revoked(db, agent->serial, agent->not_after, seconds_now_());
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

Status Enrolment::revoke_certificate(const std::string& who, const pki::Certificate& certificate) {
  const std::lock_guard change(changing_);
  const auto list = revoked();
  if (!list) return list.error();
  if (std::ranges::find(list->revoked, certificate.serial(), &pki::Revoked::serial) != list->revoked.end()) {
    return success();
  }
  return database_.write({wall_now(), who, "certificate.revoke", certificate.serial()},
                         [&](SQLite::Database& db, AuditEntry&) -> Status {
                           mark_revoked(db, certificate.serial(), certificate.not_after(), seconds_now_());
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

// An entry stays for a week after its certificate has ended: until then another clock could take it for valid.
Result<pki::RevocationList> Enrolment::revoked() const {
  pki::RevocationList list;
  const auto read = database_.read("reading what is revoked", [&](SQLite::Database& db) -> Status {
    list.number = db.execAndGet("SELECT coalesce(max(value), 0) FROM numbers WHERE name = 'crl'").getInt64();
    SQLite::Statement rows(db, "SELECT serial, at FROM revoked WHERE not_after > ? ORDER BY serial");
    rows.bind(1, seconds_now_() - 7 * day);
    while (rows.executeStep()) {
      list.revoked.push_back({rows.getColumn(0).getString(), rows.getColumn(1).getInt64()});
    }
    return success();
  });
  if (!read) return read.error();
  return list;
}

}  // namespace edgefleet::coordinator
