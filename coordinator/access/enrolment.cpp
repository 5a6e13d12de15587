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

bool exists(SQLite::Database& db, const std::string& table, const std::string& column, const std::string& value) {
  SQLite::Statement row(db, "SELECT 1 FROM " + table + " WHERE " + column + " = ?");
  row.bind(1, value);
  return row.executeStep();
}

void remove_where(SQLite::Database& db, const std::string& table, const std::string& column, const std::string& value) {
  SQLite::Statement row(db, "DELETE FROM " + table + " WHERE " + column + " = ?");
  row.bind(1, value);
  row.exec();
}

std::int64_t count_of(SQLite::Database& db, const std::string& table) {
  return db.execAndGet("SELECT count(*) FROM " + table).getInt64();
}

void remove_ended(SQLite::Database& db, const std::string& table, std::int64_t date) {
  SQLite::Statement ended(db, "DELETE FROM " + table + " WHERE not_after < ?");
  ended.bind(1, date - ended_kept);
  ended.exec();
}

void note_session_to_end(SQLite::Database& db, const std::string& name) {
  SQLite::Statement row(db, "INSERT OR IGNORE INTO sessions_to_end VALUES (?)");
  row.bind(1, name);
  row.exec();
}

struct Ended {
  std::string serial;
  std::int64_t not_after = 0;
};

// Moves them from those that were issued, or wait, to the list. A full list refuses them: the one that is there counts.
Status list_certificates(SQLite::Database& db, const std::vector<Ended>& all, std::int64_t now, std::int64_t date,
                         const std::string& token_id) {
  if (all.empty()) return success();
  remove_ended(db, "revoked", date);
  if (count_of(db, "revoked") + static_cast<std::int64_t>(all.size()) > std::int64_t(pki::most_revoked)) {
    return Error{
        "the list of revoked certificates is full (" + std::to_string(pki::most_revoked) +
            " entries); entries leave it a week after their certificates have ended, and `edgefleet-coordinator "
            "setup --new-ca` begins a new one",
        ErrorKind::busy};
  }
  if (!token_id.empty()) {
    SQLite::Statement listed(db, "SELECT count(*) FROM revoked WHERE by_token = ?");
    listed.bind(1, token_id);
    listed.executeStep();
    if (listed.getColumn(0).getInt64() + std::int64_t(all.size()) > Enrolment::most_listed_by_token) {
      return Error{"with this join token " + std::to_string(Enrolment::most_listed_by_token) +
                       " machines have replaced others of the same name within days; keep the agent's work folder, so "
                       "that it keeps its key, or let each machine have a name of its own",
                   ErrorKind::busy};
    }
  }
  for (const Ended& one : all) {
    SQLite::Statement row(db, "INSERT OR IGNORE INTO revoked (serial, at, not_after, by_token) VALUES (?, ?, ?, ?)");
    row.bind(1, one.serial);
    row.bind(2, now);
    row.bind(3, one.not_after);
    row.bind(4, token_id);
    row.exec();
    for (const char* table : {"issued", "unknown_agents"}) remove_where(db, table, "serial", one.serial);
  }
  raise_crl_number(db);
  return success();
}

// Another key has, or had, a certificate of this name that has not ended.
bool had_by_another(SQLite::Database& db, const std::string& name, const std::string& key_sha256, std::int64_t date) {
  SQLite::Statement row(db, "SELECT 1 FROM issued WHERE name = ? AND key_sha256 <> ? AND not_after > ?");
  row.bind(1, name);
  row.bind(2, key_sha256);
  row.bind(3, date);
  return row.executeStep();
}

// The beginning of the machine's id, so that the same machine gets the same suffix, or random letters.
std::string suffix_of(const std::string& machine, int attempt) {
  const bool usable = attempt == 0 && machine.size() >= suffix_letters;
  const std::string digest = sha256(usable ? machine : make_secret("").text);
  return digest.substr(0, suffix_letters);
}

// A free name: the wanted one, or with a suffix if the machine has only its host's name.
Result<std::string> free_name(SQLite::Database& db, const join::Machine& machine, const std::string& key_sha256,
                              std::int64_t date) {
  const auto free = [&](const std::string& name) {
    // One that waits after a restore has its name until a person decides.
    return !AccessDatabase::is_taken(db, name) && !reserved_name(name) && !exists(db, "unknown_agents", "name", name) &&
           (machine.named || !had_by_another(db, name, key_sha256, date));
  };
  if (free(machine.name)) return machine.name;
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
    if (free(name)) return name;
  }
  return Error{"no free name like " + machine.name + " was found; choose one with --name", ErrorKind::conflict};
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

// Whose certificates are revoked: all of a name that have not ended, also those from before a renewal, and those that
// wait.
struct Enrolment::Ending {
  std::string name;
  std::string kept_key{};  // certificates of this key stay
  std::string kept_serial{};  // and this one
  std::string token_id{};  // that has caused it; those that have ended are left out then
};

Status Enrolment::end_certificates(SQLite::Database& db, const Ending& ending) const {
  std::string all;
  for (const char* table : {"issued", "unknown_agents", "agents"}) {
    all += std::string(all.empty() ? "" : " UNION ") + "SELECT serial, not_after FROM " + table +
           " WHERE name = ?1 AND serial <> ?2 AND (?3 = '' OR key_sha256 <> ?3) AND not_after > ?4";
  }
  std::vector<Ended> ended;
  {
    SQLite::Statement rows(db, all);
    rows.bind(1, ending.name);
    rows.bind(2, ending.kept_serial);
    rows.bind(3, ending.kept_key);
    rows.bind(4, settled_.seconds() - (ending.token_id.empty() ? ended_kept : 0));
    while (rows.executeStep()) ended.push_back({rows.getColumn(0).getString(), rows.getColumn(1).getInt64()});
  }
  if (ended.empty()) return success();
  note_session_to_end(db, ending.name);
  return list_certificates(db, ended, seconds_now_(), settled_.seconds(), ending.token_id);
}

// Of a name, the newest ones are good: a clock that was wrong, or a restore, could leave more of them.
Status Enrolment::note_issued(SQLite::Database& db, const EnrolledAgent& agent, const std::string& token_id) const {
  remove_ended(db, "issued", settled_.seconds());
  if (count_of(db, "issued") >= std::int64_t(most_issued)) {
    return Error{"there are " + std::to_string(most_issued) + " certificates that have not ended; try again later",
                 ErrorKind::busy};
  }
  SQLite::Statement row(
      db, "INSERT OR REPLACE INTO issued (serial, name, not_after, key_sha256, certificate) VALUES (?, ?, ?, ?, ?)");
  row.bind(1, agent.serial);
  row.bind(2, agent.name);
  row.bind(3, agent.not_after);
  row.bind(4, agent.key_sha256);
  row.bind(5, agent.certificate);
  row.exec();
  std::vector<Ended> old;
  {
    SQLite::Statement rows(
        db,
        "SELECT serial, not_after FROM issued WHERE name = ? AND serial <> ? AND not_after > ? ORDER "
        "BY not_after DESC LIMIT -1 OFFSET ?");
    rows.bind(1, agent.name);
    rows.bind(2, agent.serial);
    rows.bind(3, settled_.seconds());
    rows.bind(4, static_cast<std::int64_t>(most_live - 1));
    while (rows.executeStep()) old.push_back({rows.getColumn(0).getString(), rows.getColumn(1).getInt64()});
  }
  return list_certificates(db, old, seconds_now_(), settled_.seconds(), token_id);
}

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
    SQLite::Statement date(db, "SELECT value FROM numbers WHERE name = 'date'");
    if (date.executeStep()) {
      settled_kept_ = date.getColumn(0).getInt64();
      settled_ = SettledDate(WallTime{settled_kept_ * 1000}, WallTime{seconds_now_() * 1000});
    }
    return success();
  });
  return read ? load_unknown() : read;
}

Status Enrolment::load_unknown() {
  std::map<std::string, UnknownAgent> all;
  std::unordered_set<std::string> revoked;
  std::set<std::string> sessions;
  auto read = database_.read("reading who is not enrolled", [&](SQLite::Database& db) -> Status {
    SQLite::Statement ended(db, "SELECT serial FROM revoked");
    while (ended.executeStep()) revoked.insert(ended.getColumn(0).getString());
    SQLite::Statement names(db, "SELECT name FROM sessions_to_end");
    while (names.executeStep()) sessions.insert(names.getColumn(0).getString());
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
  sessions_to_end_ = std::move(sessions);
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
  const std::int64_t ended_before = std::min(seconds_now_() * 1000, settled().unix_ms);
  const Status written = database_.write(
      {wall_now(), who, "join-token.create", token.id + (token.name.empty() ? "" : " for " + token.name)},
      [&](SQLite::Database& db, AuditEntry&) -> Status {
        SQLite::Statement ended(db, "DELETE FROM join_tokens WHERE expires_at < ?");
        ended.bind(1, ended_before);
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

// A certificate with an end needs a clock that is right: not before what has settled already.
Status Enrolment::check_clock() const {
  if (seconds_now_() + day >= std::max(release_date, settled().unix_ms / 1000)) return success();
  return Error{
      "the coordinator's clock is wrong: it shows a time before this release, or more than a day before the time that "
      "it has shown for long. Certificates that end can be issued only with the right time; set the clock and try "
      "again. If it is right now and was wrong before, it is believed when the coordinator has run with it for a day",
      ErrorKind::unavailable};
}

WallTime Enrolment::settled() const {
  const std::lock_guard lock(mutex_);
  return WallTime{settled_.seconds() * 1000};
}

// Kept now and then: less than a jump is lost.
Status Enrolment::look_at_clock(Time mono) {
  constexpr std::int64_t kept_every = 3600;
  const std::lock_guard change(changing_);
  std::int64_t date = 0;
  {
    const std::lock_guard lock(mutex_);
    settled_.look(WallTime{seconds_now_() * 1000}, mono);
    date = settled_.seconds();
  }
  if (std::abs(date - settled_kept_) < kept_every) return success();
  const auto written = database_.read("keeping the date", [&](SQLite::Database& db) -> Status {
    SQLite::Statement row(db, "INSERT OR REPLACE INTO numbers VALUES ('date', ?)");
    row.bind(1, date);
    row.exec();
    return success();
  });
  if (written) settled_kept_ = date;
  return written;
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

// The one that the key has had for this name, as after a clean stop, or a new one.
Status Enrolment::certificate_for(SQLite::Database& db, EnrolledAgent& agent, const pki::PublicKey& key) const {
  SQLite::Statement had(db,
                        "SELECT serial, not_after, certificate FROM issued WHERE name = ? AND key_sha256 = ? AND "
                        "certificate <> '' ORDER BY not_after DESC");
  had.bind(1, agent.name);
  had.bind(2, agent.key_sha256);
  if (agent.ephemeral && had.executeStep() && !is_due(had.getColumn(1).getInt64(), agent.ephemeral)) {
    agent.serial = had.getColumn(0).getString();
    agent.not_after = had.getColumn(1).getInt64();
    agent.certificate = had.getColumn(2).getString();
    return success();
  }
  const auto issued = authority_.issue_agent(key, *AgentName::parse(agent.name), agent.not_after);
  if (!issued) return issued.error();
  agent.serial = issued->serial();
  agent.certificate = issued->pem();
  return success();
}

// In the last third of its life; or it is good for longer than any, because the clock was wrong.
bool Enrolment::is_due(std::int64_t not_after, bool ephemeral) const {
  const std::int64_t left = not_after - seconds_now_(), life = certificate_life(ephemeral);
  return left <= life / 3 || left > life + day;
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
  bool replaces = false;
  const Status written = database_.write(
      {wall_now(), wanted.who, "agent.join", "", !wanted.token_id.empty()},
      [&](SQLite::Database& db, AuditEntry& entry) -> Status {
        if (db.execAndGet("SELECT count(*) FROM agents").getInt64() >= std::int64_t(most_agents)) {
          return Error{"there are " + std::to_string(most_agents) + " agents already", ErrorKind::busy};
        }
        if (exists(db, "revoked_keys", "key_sha256", agent.key_sha256)) {
          return Error{"the key of this machine was revoked; `edgefleet-agent join --again` makes a new one",
                       ErrorKind::forbidden};
        }
        // A key is one agent's: it could otherwise have two names.
        if (const auto same = agent_where(db, "key_sha256", agent.key_sha256);
            same && same->name != wanted.fixed_name) {
          return Error{"this key is already enrolled, as agent " + same->name + "; join with a new key",
                       ErrorKind::conflict};
        }
        const auto known = wanted.fixed_name.empty() ? std::nullopt : agent_where(db, "name", wanted.fixed_name);
        if (known) {
          old_serial = known->serial;
          agent.name = known->name;
        } else {
          auto name = wanted.fixed_name.empty() ? free_name(db, wanted.machine, agent.key_sha256, settled_.seconds())
                                                : Result<std::string>(wanted.fixed_name);
          if (!name) return name.error();
          if (auto taken = AccessDatabase::take_name(db, *name, "agent"); !taken) return taken;
          agent.name = *name;
        }
        replaces = (known && known->key_sha256 != agent.key_sha256) ||
                   had_by_another(db, agent.name, agent.key_sha256, settled_.seconds());
        if (auto ended = end_certificates(db, {agent.name, agent.key_sha256, {}, wanted.token_id}); !ended)
          return ended;
        if (auto good = certificate_for(db, agent, wanted.key); !good) return good;
        insert(db, agent);
        if (auto noted = note_issued(db, agent, wanted.token_id); !noted) return noted;
        if (!wanted.token_id.empty()) {
          SQLite::Statement used(db, "UPDATE join_tokens SET used = used + 1 WHERE id = ?");
          used.bind(1, wanted.token_id);
          used.exec();
        }
        entry.about = agent.name + (replaces ? ", which replaces the machine that had this name" : "");
        return success();
      });
  if (!written) return written.error();
  keep(agent, old_serial);
  if (auto loaded = load_unknown(); !loaded) return loaded.error();
  return agent;
}

Result<EnrolledAgent> Enrolment::renew(const std::string& name, const pki::PublicKey& key) {
  const std::lock_guard change(changing_);
  auto agent = find(name);
  if (!agent) return Error{"agent " + name.substr(0, longest_name) + " is not enrolled", ErrorKind::not_found};
  if (auto right = check_clock(); !right) return right.error();
  // So an agent that asks again and again does not fill the store.
  if (!is_due(agent->not_after, agent->ephemeral)) {
    if (agent->key_sha256 == key.sha256()) return *agent;
    return Error{"the certificate of agent " + name +
                     " can be renewed with another key when a third of its life is left; before, revoke the agent and "
                     "let it join with a new key",
                 ErrorKind::busy};
  }
  const std::string old_serial = agent->serial;
  agent->key_sha256 = key.sha256();
  agent->not_after = seconds_now_() + certificate_life(agent->ephemeral);
  const auto issued = authority_.issue_agent(key, *AgentName::parse(name), agent->not_after);
  if (!issued) return issued.error();
  agent->serial = issued->serial();
  agent->certificate = issued->pem();
  const Status written =
      database_.write({wall_now(), name, "agent.renew", name, true}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        const auto same = agent_where(db, "key_sha256", agent->key_sha256);
        if (same && same->name != name) return Error{"this key is another agent's", ErrorKind::conflict};
        insert(db, *agent);
        return note_issued(db, *agent, {});
      });
  if (!written) return written.error();
  keep(*agent, old_serial);
  if (auto loaded = load_unknown(); !loaded) return loaded.error();
  return *agent;
}

Status Enrolment::revoke(const std::string& who, const std::string& name, const std::string& serial) {
  const std::lock_guard change(changing_);
  const auto agent = find(name);
  if (!serial.empty() && !(agent && agent->serial == serial)) return revoke_serial(who, name, serial);
  Status written =
      database_.write({wall_now(), who, "agent.revoke", name}, [&](SQLite::Database& db, AuditEntry&) -> Status {
        bool known = false;
        for (const char* table : {"agents", "issued", "unknown_agents"}) {
          known = known || exists(db, table, "name", name);
          SQLite::Statement keys(db, std::string("INSERT OR IGNORE INTO revoked_keys SELECT key_sha256, ? FROM ") +
                                         table + " WHERE name = ? AND key_sha256 <> ''");
          keys.bind(1, seconds_now_());
          keys.bind(2, name);
          keys.exec();
        }
        if (!known) {
          return Error{
              "agent " + name.substr(0, longest_name) +
                  " is not enrolled; a certificate that this coordinator does not know is revoked by its serial "
                  "(`--serial`)",
              ErrorKind::not_found};
        }
        if (auto ended = end_certificates(db, {name, {}, {}, {}}); !ended) return ended;
        note_session_to_end(db, name);
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

// When a certificate that is not known ends is not known either: at the latest a life from now.
Status Enrolment::revoke_serial(const std::string& who, const std::string& name, const std::string& serial) {
  if (!valid_name(name)) return invalid("\"" + name.substr(0, longest_name) + "\" is no name of an agent");
  constexpr std::size_t longest_serial = 32;
  if (serial.size() > longest_serial || serial.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return invalid("a serial is 1 to 32 hexadecimal digits, as `edgefleet agents unknown` shows it");
  }
  const Status written = database_.write(
      {wall_now(), who, "agent.revoke", name + ", certificate " + serial},
      [&](SQLite::Database& db, AuditEntry&) -> Status {
        if (exists(db, "revoked", "serial", serial)) return success();
        Ended ended{serial, seconds_now_() + certificate_days * day};
        for (const char* table : {"agents", "issued", "unknown_agents"}) {
          SQLite::Statement row(db, std::string("SELECT name, not_after FROM ") + table + " WHERE serial = ?");
          row.bind(1, serial);
          if (!row.executeStep()) continue;
          ended.not_after = row.getColumn(1).getInt64();
          const std::string owner = row.getColumn(0).getString();
          if (owner != name) return Error{"this is a certificate of agent " + owner, ErrorKind::conflict};
        }
        note_session_to_end(db, name);
        return list_certificates(db, {ended}, seconds_now_(), settled_.seconds(), {});
      });
  return written ? load_unknown() : written;
}

std::vector<std::string> Enrolment::sessions_to_end() const {
  const std::lock_guard lock(mutex_);
  return {sessions_to_end_.begin(), sessions_to_end_.end()};
}

bool Enrolment::has_session_to_end(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  return sessions_to_end_.contains(name);
}

Status Enrolment::session_ended(const std::string& name) {
  const std::lock_guard change(changing_);
  const auto removed = database_.read("noting that a session has ended", [&](SQLite::Database& db) -> Status {
    remove_where(db, "sessions_to_end", "name", name);
    return success();
  });
  if (!removed) return removed;
  const std::lock_guard lock(mutex_);
  sessions_to_end_.erase(name);
  return success();
}

Status Enrolment::forget(const std::string& name) {
  const std::lock_guard change(changing_);
  const auto agent = find(name);
  if (!agent || !agent->ephemeral) return Error{name + " is no ephemeral agent", ErrorKind::not_found};
  Status written =
      database_.write({wall_now(), "coordinator", "agent.forget", name, true}, [&](SQLite::Database& db, AuditEntry&) {
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
          remove_where(db, "agents", "name", name);
          AccessDatabase::free_name(db, name);
          note_session_to_end(db, name);
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
  return database.write(
      {wall_now(), who, "fleet.new-ca", "all agents join anew"}, [](SQLite::Database& db, AuditEntry&) -> Status {
        for (const char* table : {"agents", "issued", "unknown_agents", "join_tokens", "sessions_to_end"})
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
  const Status written =
      database_.write({wall_now(), *name, "agent.recognise", *name + ", renewed after the backup", true},
                      [&](SQLite::Database& db, AuditEntry&) -> Status {
                        insert(db, *agent);
                        return note_issued(db, *agent, {});
                      });
  if (!written) return std::nullopt;
  keep(*agent, old_serial);
  return *name;
}

// Not one that was issued here: its agent has another key or name now. Of a name, the newest ones are kept.
void Enrolment::note_unknown(const UnknownAgent& agent) {
  std::vector<UnknownAgent> all = unknown();
  const std::size_t total = all.size();
  std::erase_if(all, [&](const UnknownAgent& one) { return one.name != agent.name; });
  const auto oldest = std::ranges::min_element(all, {}, &UnknownAgent::not_after);
  const bool replaces = all.size() >= most_unknown_of_name;
  if (replaces ? oldest->not_after >= agent.not_after : total >= most_unknown) return;
  const auto issued = database_.read("reading what was issued", [&](SQLite::Database& db) -> Result<bool> {
    return exists(db, "issued", "serial", agent.serial);
  });
  if (!issued || *issued) return;
  const Status written =
      database_.write({wall_now(), agent.name, "agent.unknown", agent.name + " at " + agent.address, true},
                      [&](SQLite::Database& db, AuditEntry&) -> Status {
                        if (replaces) remove_where(db, "unknown_agents", "serial", oldest->serial);
                        insert_unknown(db, agent);
                        return success();
                      });
  if (!written) return;
  const std::lock_guard lock(mutex_);
  if (replaces) unknown_.erase(oldest->serial);
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
        // A machine may have an older certificate of its key: the answer to a renewal may not have arrived.
        if (auto ended = end_certificates(db, {name, agent.key_sha256, agent.serial, {}}); !ended) return ended;
        if (const auto known = agent_where(db, "name", name)) {
          old_serial = known->serial;
          agent.capabilities = known->capabilities;
        } else if (auto taken = AccessDatabase::take_name(db, name, "agent"); !taken) {
          return taken;
        }
        insert(db, agent);
        if (auto noted = note_issued(db, agent, {}); !noted) return noted;
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

// What the broker must have comes first: numbers of keys matter to a restore only. A list that was united of several
// could be longer than a list may be.
Result<pki::RevocationList> Enrolment::revoked() const {
  const std::int64_t date = settled().unix_ms / 1000;
  pki::RevocationList list;
  const auto read = database_.read("reading what is revoked", [&](SQLite::Database& db) -> Status {
    list.number = db.execAndGet("SELECT coalesce(max(value), 0) FROM numbers WHERE name = 'crl'").getInt64();
    SQLite::Statement rows(db,
                           "SELECT serial, at FROM revoked WHERE not_after > ? ORDER BY length(serial) > 32, at DESC, "
                           "serial LIMIT ?");
    rows.bind(1, date - ended_kept);
    rows.bind(2, static_cast<std::int64_t>(pki::most_revoked));
    while (rows.executeStep()) {
      list.revoked.push_back({rows.getColumn(0).getString(), rows.getColumn(1).getInt64()});
    }
    return success();
  });
  if (!read) return read.error();
  std::ranges::sort(list.revoked, {}, &pki::Revoked::serial);
  return list;
}

}  // namespace edgefleet::coordinator
