#include "coordinator/access/fleet_restore.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "common/files/durable_write.hpp"
#include "common/files/private_file.hpp"
#include "common/pki/authority.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/enrolment.hpp"
#include "coordinator/access/registry.hpp"
#include "coordinator/access/revoked.hpp"
#include "coordinator/access/setup_files.hpp"
#include "coordinator/access/transaction.hpp"

namespace edgefleet::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t day = 86'400;

std::string restoring(const std::string& directory) { return directory + "/restoring"; }
// The one before, while a restore that was interrupted is done again.
std::string restoring_before(const std::string& directory) { return directory + "/restoring.old"; }
std::string restoring_unwritten(const std::string& directory) { return directory + "/restoring.partial"; }
std::string restored(const std::string& directory) { return directory + "/restoring.done"; }

bool exists(const std::string& path) {
  std::error_code failure;
  return fs::exists(path, failure);
}

Status remove_folder(const std::string& path) {
  std::error_code failure;
  fs::remove_all(path, failure);
  return failure ? Status(disk_error(path + " cannot be removed", failure)) : success();
}

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return success();
  return disk_error(path + " cannot be created");
}

std::int64_t seconds_now() { return wall_now().unix_ms / 1000; }

// ---- what is known

struct RevokedUntil {
  std::int64_t at = 0;
  std::int64_t not_after = 0;
};

struct Issued {
  std::string serial;
  std::string name;
  std::int64_t not_after = 0;
  std::string key_sha256;
  std::string certificate;
};

struct Knowledge {
  std::int64_t number = 0;  // the highest of a list
  std::map<std::string, RevokedUntil> revoked;  // by serial
  std::vector<Issued> issued;
  std::map<std::string, std::int64_t> revoked_keys;  // since when
  std::vector<EnrolledAgent> agents;
  std::vector<UnknownAgent> unknown;
  std::vector<Access> accesses;

  void add(const std::string& serial, const RevokedUntil& entry) {
    const auto [known, fresh] = revoked.try_emplace(serial, entry);
    if (fresh) return;
    known->second.at = std::min(known->second.at, entry.at);
    known->second.not_after = std::max(known->second.not_after, entry.not_after);
  }
  [[nodiscard]] bool ended(const std::string& serial) const { return revoked.contains(serial); }
};

Status read_rows(const AccessDatabase& database, Knowledge& known) {
  return database.read("reading what is revoked", [&](SQLite::Database& db) -> Status {
    const auto number = db.execAndGet("SELECT coalesce(max(value), 0) FROM numbers WHERE name = 'crl'").getInt64();
    known.number = std::max(known.number, number);
    SQLite::Statement revoked(db, "SELECT serial, at, not_after FROM revoked");
    while (revoked.executeStep()) {
      known.add(revoked.getColumn(0).getString(), {revoked.getColumn(1).getInt64(), revoked.getColumn(2).getInt64()});
    }
    SQLite::Statement issued(db, "SELECT serial, name, not_after, key_sha256, certificate FROM issued");
    while (issued.executeStep()) {
      known.issued.push_back({issued.getColumn(0).getString(), issued.getColumn(1).getString(),
                              issued.getColumn(2).getInt64(), issued.getColumn(3).getString(),
                              issued.getColumn(4).getString()});
    }
    SQLite::Statement keys(db, "SELECT key_sha256, at FROM revoked_keys");
    while (keys.executeStep()) known.revoked_keys.emplace(keys.getColumn(0).getString(), keys.getColumn(1).getInt64());
    return success();
  });
}

// Of the database in a folder.
Status learn_from_database(const std::string& folder, const pki::Authority& authority, Knowledge& known) {
  const auto database = AccessDatabase::open(folder);
  if (!database) return database.error();
  if (auto read = read_rows(**database, known); !read) return read;
  const auto enrolment = Enrolment::open(**database, authority, seconds_now);
  if (!enrolment) return enrolment.error();
  std::ranges::move((*enrolment)->agents(), std::back_inserter(known.agents));
  std::ranges::move((*enrolment)->unknown(), std::back_inserter(known.unknown));
  const auto accesses = Registry::open(**database);
  if (!accesses) return accesses.error();
  std::ranges::move((*accesses)->accesses(), std::back_inserter(known.accesses));
  return success();
}

// A list does not say when a certificate ends: at the latest, a year after it was issued.
Status learn_from_list(const std::string& path, const pki::Authority& authority, Knowledge& known) {
  const auto text = read_text(path, pki::most_crl_text);
  if (!text) return text.error();
  const auto list = pki::read_crl(*text, authority.certificate());
  if (!list) return list.error();
  known.number = std::max(known.number, list->number);
  for (const auto& [serial, at] : list->revoked) {
    const auto end = is_of_key(serial) ? pki::last_date : seconds_now() + (Enrolment::certificate_days + 1) * day;
    known.add(serial, {at, end});
  }
  return success();
}

bool is_of(const std::string& folder, const pki::Authority& authority) {
  const auto text = read_text(ca_file(folder));
  const auto ca = text ? pki::Certificate::from_pem(*text) : Result<pki::Certificate>(text.error());
  return ca && ca->fingerprint() == authority.certificate().fingerprint();
}

// The directory itself, and what earlier restores have left in it.
std::vector<std::string> folders_of(const std::string& directory) {
  std::vector<std::string> folders{directory, restoring(directory), restoring_before(directory)};
  std::error_code failure;
  for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end; entry.increment(failure)) {
    const std::string path = entry->path().string();
    if (entry->path().filename().string().starts_with("replaced-")) folders.push_back(path);
  }
  return folders;
}

class Preparation {
 public:
  Preparation(const FleetCopy& copy, std::string directory)
      : copy_(copy), directory_(std::move(directory)), folder_(restoring_unwritten(directory_)) {}

  Result<FleetRestoreReport> run() {
    if (auto removed = remove_folder(folder_); !removed) return removed.error();
    auto authority = pki::Authority::load(copy_.ca_certificate, copy_.ca_key);
    if (!authority) return authority.error();
    authority_ = std::move(*authority);
    for (const auto step : {&Preparation::write_files, &Preparation::move_paths, &Preparation::learn,
                            &Preparation::change_database, &Preparation::put_down}) {
      if (auto done = (this->*step)(); !done) return done.error();
    }
    return report_;
  }

 private:
  Status write_files() {
    for (const auto& path : {folder_, folder_ + "/ca"}) {
      if (auto made = make_folder(path); !made) return made;
    }
    const std::pair<std::string, const std::string*> files[] = {{ca_file(folder_), &copy_.ca_certificate},
                                                                {folder_ + "/ca/ca.key", &copy_.ca_key},
                                                                {setup_path(folder_), &copy_.setup},
                                                                {recovery_key_path(folder_), &copy_.recovery_key},
                                                                {folder_ + "/access.db", &copy_.accesses}};
    for (const auto& [path, content] : files) {
      if (content->empty()) continue;
      if (auto written = write_private_file(path, *content); !written) return written;
    }
    return success();
  }

  // What was below the copy's data directory is below this one.
  Status move_paths() {
    auto setup = read_setup(folder_);
    if (!setup) return setup.error();
    broker_folders_.push_back(setup->broker_folder);
    const std::string own = fs::absolute(directory_).lexically_normal().string();
    for (std::string* path : {&setup->broker_folder, &setup->broker_run}) {
      if (path->starts_with(copy_.directory + "/")) *path = own + path->substr(copy_.directory.size());
    }
    broker_folders_.push_back(setup->broker_folder);
    report_.fleet = setup->fleet.str();
    return write_setup(folder_, *setup);
  }

  Status learn() {
    if (auto read = learn_from_database(folder_, *authority_, own_); !read) return read.error().context("the backup");
    known_.number = own_.number;
    known_.revoked = own_.revoked;
    for (const auto& folder : folders_of(directory_)) {
      if (const auto setup = read_setup(folder)) broker_folders_.push_back(setup->broker_folder);
      if (!exists(folder + "/access.db")) continue;
      if (!is_of(folder, *authority_)) {
        report_.notes.push_back(folder + "/access.db is of another certification authority, and is not used");
        continue;
      }
      note(folder + "/access.db", learn_from_database(folder, *authority_, known_));
    }
    for (const auto& folder : std::set<std::string>(broker_folders_.begin(), broker_folders_.end())) {
      const std::string path = folder + "/current/" + broker_file::revoked;
      if (exists(path)) note(path, learn_from_list(path, *authority_, known_));
    }
    return success();
  }

  void note(const std::string& source, const Status& read) {
    if (read) return report_.sources.push_back(source);
    report_.notes.push_back(source + " cannot be used (" + read.error().message +
                            "): who was revoked there, and nowhere else, is not known");
  }

  Status change_database() {
    const auto database = AccessDatabase::open(folder_);
    if (!database) return database.error();
    return (*database)->write({wall_now(), std::string(actor::restore), "fleet.restore", "from a backup"},
                              [&](SQLite::Database& db, AuditEntry& entry) -> Status {
                                const std::string found = db.execAndGet("PRAGMA integrity_check(1)").getString();
                                if (found != "ok") return invalid("the accesses of the backup are damaged: " + found);
                                revoke(db);
                                settle_agents(db);
                                settle_accesses(db);
                                entry.about += ", list of revoked certificates " + std::to_string(known_.number + 1);
                                return success();
                              });
  }

  void revoke(SQLite::Database& db) {
    for (const auto& [serial, entry] : known_.revoked) {
      SQLite::Statement row(db, "INSERT OR REPLACE INTO revoked (serial, at, not_after) VALUES (?, ?, ?)");
      row.bind(1, serial);
      row.bind(2, entry.at);
      row.bind(3, entry.not_after);
      row.exec();
    }
    for (const Issued& one : known_.issued) {
      SQLite::Statement row(db,
                            "INSERT OR IGNORE INTO issued (serial, name, not_after, key_sha256, certificate) "
                            "VALUES (?, ?, ?, ?, ?)");
      row.bind(1, one.serial);
      row.bind(2, one.name);
      row.bind(3, one.not_after);
      row.bind(4, one.key_sha256);
      row.bind(5, one.certificate);
      row.exec();
    }
    for (const auto& [key, at] : known_.revoked_keys) {
      SQLite::Statement row(db, "INSERT OR IGNORE INTO revoked_keys VALUES (?, ?)");
      row.bind(1, key);
      row.bind(2, at);
      row.exec();
    }
    db.exec("DELETE FROM join_tokens");  // they may have been used or revoked since
    report_.crl_number = known_.number + 1;
    SQLite::Statement number(db, "INSERT OR REPLACE INTO numbers VALUES ('crl', ?)");
    number.bind(1, report_.crl_number);
    number.exec();
    db.exec("DELETE FROM issued WHERE serial IN (SELECT serial FROM revoked)");
    db.exec("DELETE FROM unknown_agents WHERE serial IN (SELECT serial FROM revoked)");
  }

  void settle_agents(SQLite::Database& db) {
    std::map<std::string, EnrolledAgent> present;  // by key
    for (const EnrolledAgent& agent : own_.agents) present.emplace(agent.key_sha256, agent);
    std::map<std::string, UnknownAgent> waiting;  // by serial
    for (const UnknownAgent& agent : known_.unknown) waiting.emplace(agent.serial, agent);
    for (const EnrolledAgent& agent : known_.agents) {
      const auto same = present.find(agent.key_sha256);
      if (known_.ended(agent.serial) || (same != present.end() && same->second.serial == agent.serial)) continue;
      if (same == present.end() || same->second.name != agent.name) {
        waiting.emplace(agent.serial, UnknownAgent{agent.name, agent.serial, agent.key_sha256, agent.certificate,
                                                   agent.not_after, agent.enrolled, ""});
      } else if (agent.not_after > same->second.not_after) {  // renewed since
        same->second = agent;
        Enrolment::insert(db, agent);
      }
    }
    for (const auto& [key, agent] : present) {
      if (known_.ended(agent.serial)) remove_agent(db, agent.name);
    }
    for (const auto& [serial, agent] : waiting) {
      if (known_.ended(serial) || report_.waiting.size() >= Enrolment::most_unknown) continue;
      report_.waiting.push_back(agent.name);
      Enrolment::insert_unknown(db, agent);
    }
  }

  void settle_accesses(SQLite::Database& db) {
    for (const Access& access : own_.accesses) {
      if (!known_.ended(serial_of_key(access.key_id))) continue;
      const auto newer = std::ranges::find_if(known_.accesses, [&](const Access& other) {
        return other.name == access.name && !known_.ended(serial_of_key(other.key_id));
      });
      if (newer != known_.accesses.end()) {
        Registry::insert(db, *newer);
      } else {
        remove_access(db, access.name);
      }
    }
    SQLite::Statement orphans(
        db, "SELECT name FROM accesses WHERE owner <> '' AND owner NOT IN (SELECT name FROM accesses)");
    std::vector<std::string> names;
    while (orphans.executeStep()) names.push_back(orphans.getColumn(0).getString());
    for (const auto& name : names) remove_access(db, name);
  }

  void remove_agent(SQLite::Database& db, const std::string& name) {
    SQLite::Statement row(db, "DELETE FROM agents WHERE name = ?");
    row.bind(1, name);
    row.exec();
    AccessDatabase::free_name(db, name);
    report_.agents_removed.push_back(name);
  }

  void remove_access(SQLite::Database& db, const std::string& name) {
    Registry::remove(db, name);
    report_.accesses_removed.push_back(name);
  }

  // An unfinished restore stays until this one can take its place.
  Status put_down() {
    if (auto synced = sync_file(folder_ + "/ca"); !synced) return synced;
    if (auto synced = sync_file(folder_); !synced) return synced;
    const std::string place = restoring(directory_);
    if (exists(place)) {
      if (auto removed = remove_folder(restoring_before(directory_)); !removed) return removed;
      if (auto moved = rename_durably(place, restoring_before(directory_)); !moved) return moved;
    }
    if (auto moved = rename_durably(folder_, place); !moved) return moved;
    return remove_folder(restoring_before(directory_));
  }

  const FleetCopy& copy_;
  const std::string directory_;
  const std::string folder_;  // where it is made
  std::optional<pki::Authority> authority_;
  std::vector<std::string> broker_folders_;
  Knowledge own_;    // the copy's
  Knowledge known_;  // its revocations, and all of the other sources
  FleetRestoreReport report_;
};

// A second name for the file: what is in its place later is another file.
Status link_file(const std::string& from, const std::string& to) {
  if (::unlink(to.c_str()) != 0 && errno != ENOENT) return disk_error(to + " cannot be removed");
  if (::link(from.c_str(), to.c_str()) == 0) return success();
  return disk_error(to + " cannot be created");
}

}  // namespace

bool restore_unfinished(const std::string& directory) {
  return exists(restoring(directory)) || exists(restoring_before(directory));
}

Error unfinished_restore(const std::string& directory) {
  return Error{"a restore of " + directory + " was interrupted; run `edgefleet-coordinator restore` again, as before",
               ErrorKind::conflict};
}

Result<FleetRestoreReport> prepare_fleet(const FleetCopy& copy, const std::string& directory) {
  return Preparation(copy, directory).run();
}

Status keep_replaced_fleet(const std::string& directory, const std::string& folder) {
  if (exists(directory + "/ca")) {
    if (auto made = make_folder(folder + "/ca"); !made) return made;
  }
  for (const char* name :
       {"/ca/ca.crt", "/ca/ca.key", "/setup.json", "/recovery.pub", "/access.db", "/access.db-journal"}) {
    if (!exists(directory + name)) continue;
    if (auto linked = link_file(directory + name, folder + name); !linked) return linked;
  }
  return sync_file(folder);
}

// A file at a time, each whole at any moment. The record of the setup is last.
Status finish_fleet(const std::string& directory) {
  const std::string from = restoring(directory);
  if (auto made = make_folder(directory + "/ca"); !made) return made;
  // It is of the database that is replaced: SQLite would apply it to the new one.
  const std::string journal = directory + "/access.db-journal";
  if (::unlink(journal.c_str()) != 0 && errno != ENOENT) return disk_error(journal + " cannot be removed");
  const std::string fresh = directory + "/access.db.new";
  if (auto linked = link_file(from + "/access.db", fresh); !linked) return linked;
  if (auto placed = rename_durably(fresh, directory + "/access.db"); !placed) return placed;
  for (const char* name : {"/recovery.pub", "/ca/ca.key", "/ca/ca.crt", "/setup.json"}) {
    if (!exists(from + name)) continue;
    const auto text = read_text(from + name);
    if (!text) return text.error();
    if (auto written = write_private_file(directory + name, *text); !written) return written;
  }
  if (auto removed = remove_unused_restores(directory); !removed) return removed;
  if (auto moved = rename_durably(from, restored(directory)); !moved) return moved;
  return remove_unused_restores(directory);
}

Status remove_unused_restores(const std::string& directory) {
  for (const auto& folder : {restored(directory), restoring_unwritten(directory)}) {
    if (auto removed = remove_folder(folder); !removed) return removed;
  }
  return success();
}

}  // namespace edgefleet::coordinator
