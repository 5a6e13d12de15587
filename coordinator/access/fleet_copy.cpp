#include "coordinator/access/fleet_copy.hpp"

#include <SQLiteCpp/Backup.h>

#include <charconv>
#include <filesystem>
#include <memory>

#include "common/files/private_file.hpp"
#include "common/pki/authority.hpp"
#include "common/pki/sealed.hpp"
#include "coordinator/access/setup_files.hpp"
#include "coordinator/store/sqlite/guarded.hpp"

namespace edgefleet::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view first_line = "edgefleet fleet 1\n";

// In the order of the text.
struct Part {
  const char* name;
  std::string FleetCopy::* content;
};
constexpr Part parts[] = {{"directory", &FleetCopy::directory},       {"setup.json", &FleetCopy::setup},
                          {"ca.crt", &FleetCopy::ca_certificate},     {"ca.key", &FleetCopy::ca_key},
                          {"recovery.pub", &FleetCopy::recovery_key}, {"access.db", &FleetCopy::accesses}};

// A copy in memory: the file system of a backup may be anybody's to read.
Result<std::string> copy_database_bytes(const std::string& path) {
  return guarded("reading " + path, [&]() -> Result<std::string> {
    SQLite::Database source(path, SQLite::OPEN_READONLY, 5000);
    SQLite::Database memory(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    SQLite::Backup backup(memory, source);
    if (backup.executeStep(-1) != SQLITE_DONE) return Error{path + " is in use, and cannot be copied now"};
    const std::string found = memory.execAndGet("PRAGMA quick_check(1)").getString();
    if (found != "ok") return Error{path + " is damaged (" + found + ")"};
    sqlite3_int64 size = 0;
    const std::unique_ptr<unsigned char, void (*)(void*)> bytes(sqlite3_serialize(memory.getHandle(), "main", &size, 0),
                                                                sqlite3_free);
    if (!bytes) return Error{"no memory to copy " + path};
    return std::string(reinterpret_cast<const char*>(bytes.get()), static_cast<std::size_t>(size));  // NOLINT
  });
}

Error damaged(const std::string& what) { return invalid("the copy of the fleet is damaged: " + what); }

// "NAME SIZE\n", and so many bytes.
Result<std::string> take_part(std::string_view& text, std::string_view name) {
  const std::string head = std::string(name) + " ";
  const auto end = text.find('\n');
  if (!text.starts_with(head) || end == std::string_view::npos) return damaged(std::string(name) + " is missing");
  std::size_t size = 0;
  const char* last = text.data() + end;
  const auto [at, failure] = std::from_chars(text.data() + head.size(), last, size);
  text.remove_prefix(end + 1);
  if (failure != std::errc{} || at != last || size > text.size()) return damaged(std::string(name) + " is cut off");
  std::string content(text.substr(0, size));
  text.remove_prefix(size);
  return content;
}

}  // namespace

Result<FleetCopy> copy_fleet(const std::string& directory) {
  FleetCopy copy;
  copy.directory = fs::absolute(directory).lexically_normal().string();
  while (copy.directory.size() > 1 && copy.directory.back() == '/') copy.directory.pop_back();
  const std::pair<std::string, std::string FleetCopy::*> files[] = {{setup_path(directory), &FleetCopy::setup},
                                                                    {ca_file(directory), &FleetCopy::ca_certificate},
                                                                    {directory + "/ca/ca.key", &FleetCopy::ca_key}};
  for (const auto& [path, content] : files) {
    auto text = read_text(path);
    if (!text) return text.error();
    copy.*content = std::move(*text);
  }
  const auto recovery = read_recovery_key(directory);
  if (!recovery) return recovery.error();
  if (*recovery) copy.recovery_key = (*recovery)->text();
  auto accesses = copy_database_bytes(directory + "/access.db");
  if (!accesses) return accesses.error();
  copy.accesses = std::move(*accesses);
  if (const auto authority = pki::Authority::load(copy.ca_certificate, copy.ca_key); !authority) {
    return authority.error().context(directory + "/ca");
  }
  return copy;
}

std::string encode(const FleetCopy& copy) {
  std::string text(first_line);
  for (const auto& [name, content] : parts) {
    text += std::string(name) + " " + std::to_string((copy.*content).size()) + "\n" + copy.*content;
  }
  return text;
}

Result<FleetCopy> decode_fleet_copy(std::string_view text) {
  if (!text.starts_with(first_line)) return damaged("it is of another version of edgefleet");
  text.remove_prefix(first_line.size());
  FleetCopy copy;
  for (const auto& [name, content] : parts) {
    auto part = take_part(text, name);
    if (!part) return part.error();
    copy.*content = std::move(*part);
  }
  if (!text.empty()) return damaged("something follows its end");
  if (const auto authority = pki::Authority::load(copy.ca_certificate, copy.ca_key); !authority) {
    return damaged(authority.error().message);
  }
  return copy;
}

std::string recovery_key_path(const std::string& directory) { return directory + "/recovery.pub"; }

Result<std::optional<pki::RecoveryPublicKey>> read_recovery_key(const std::string& directory) {
  const std::string path = recovery_key_path(directory);
  std::error_code failure;
  if (!fs::exists(path, failure) && !failure) return std::optional<pki::RecoveryPublicKey>();
  const auto text = read_text(path);
  if (!text) return text.error();
  auto key = pki::RecoveryPublicKey::from_text(*text);
  if (!key) {
    return key.error().context(path +
                               " is damaged; `edgefleet-coordinator setup --new-recovery-key` makes another one");
  }
  return std::optional(std::move(*key));
}

Status write_recovery_key(const std::string& directory, const pki::RecoveryPublicKey& key) {
  return write_private_file(recovery_key_path(directory), key.text());
}

std::string sealed_path(const std::string& folder) { return folder + "/fleet.sealed"; }

}  // namespace edgefleet::coordinator
