#include "coordinator/access/setup_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "common/files/durable_write.hpp"
#include "common/files/private_file.hpp"
#include "common/protocol/fields.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/secret.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::int64_t day = 86'400;
constexpr std::int64_t people_days = 397;  // browsers take no certificate that is longer good

constexpr std::string_view brief_prefix = "taking-over-";

enum class Kind { people_server, server, client };
struct Row {
  const char* name;
  Kind kind;
  std::string_view subject = {};  // of clients: who it is at the broker
  bool broker = false;
};
constexpr Row rows[] = {{"people", Kind::people_server},           {"agents", Kind::server},
                        {"broker", Kind::server, {}, true},        {"coordinator", Kind::client, coordinator_identity},
                        {"watch", Kind::client, watch_identity},   {"canary", Kind::client, canary_identity},
                        {"revoked", Kind::client, canary_identity}};

Status make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), S_IRWXU) == 0 || errno == EEXIST) return success();
  return disk_error(path + " cannot be created");
}

bool exists(const std::string& path) {
  std::error_code unknown;
  return std::filesystem::exists(path, unknown);
}

std::vector<std::string> sorted(std::vector<std::string> names) {
  std::ranges::sort(names);
  return names;
}

// Whether it can be used as it is.
bool is_good(const pki::Certificate& certificate, const pki::Key& key, const pki::Certificate& wanted,
             const pki::Authority& authority, pki::Use use, std::int64_t now) {
  if (!certificate.public_key() || *certificate.public_key() != key.public_key()) return false;
  if (!certificate.verified_by(authority.certificate(), use)) return false;
  if (sorted(certificate.names().dns) != sorted(wanted.names().dns) ||
      sorted(certificate.names().ips) != sorted(wanted.names().ips)) {
    return false;
  }
  if (certificate.not_after() == pki::last_date) return wanted.not_after() == pki::last_date;
  // `wanted` is issued now. A day: a clock may have been set back a little.
  const auto life = wanted.not_after() - now, left = certificate.not_after() - now;
  return now >= certificate.not_before() && left > life / 3 && left <= life + day;
}

Result<pki::Certificate> issue(const Row& row, const pki::Authority& authority, const Setup& setup,
                               const pki::PublicKey& key, std::int64_t now) {
  // The canary that is revoked is in the list of what is revoked: a new one each minute would fill it.
  const bool has_end = setup.certificate_seconds > 0 && row.name != std::string_view("revoked");
  const std::int64_t end = has_end ? now + setup.certificate_seconds : pki::last_date;
  const auto names = row.broker ? certified_names(setup) : with_local_names(setup.names);
  switch (row.kind) {
    case Kind::people_server:
      return authority.issue_server(key, names, std::max<std::int64_t>(now - day, 0),
                                    std::min(now + people_days * day, end));
    case Kind::server:
      return authority.issue_server(key, names, pki::first_date, end);
    case Kind::client:
      break;
  }
  return authority.issue_client(key, *ClientName::parse(std::string(row.subject)), end);
}

Result<pki::Key> load_or_make_key(const std::string& path) {
  if (exists(path)) {
    const auto text = read_text(path);
    if (!text) return text.error();
    auto key = pki::Key::from_pem(*text);
    return key ? std::move(key) : Result<pki::Key>(key.error().context(path));
  }
  auto key = pki::Key::make();
  if (!key) return key.error();
  const auto text = key->pem();
  if (!text) return text.error();
  if (auto written = write_private_file(path, *text); !written) return written.error();
  return key;
}

// True: it is new.
Result<bool> make_certificate(const Row& row, const std::string& directory, const pki::Authority& authority,
                              const Setup& setup, std::int64_t now) {
  const auto files = certificate_files(directory, row.name);
  const auto key = load_or_make_key(files.key);
  if (!key) return key.error();
  const auto wanted = issue(row, authority, setup, key->public_key(), now);
  if (!wanted) return wanted.error();
  const auto use = row.kind == Kind::client ? pki::Use::client : pki::Use::server;
  if (const auto text = read_text(files.certificate)) {
    const auto present = pki::Certificate::from_pem(*text);
    if (present && is_good(*present, *key, *wanted, authority, use, now)) return false;
  }
  if (auto written = write_private_file(files.certificate, wanted->pem()); !written) return written.error();
  return true;
}

}  // namespace

Result<std::string> read_text(const std::string& path, std::size_t most) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not hold this up
  if (fd < 0) return Error{path + " cannot be read", ErrorKind::not_found};
  struct stat info{};
  const bool is_file = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  std::string text;
  std::string piece(64UL << 10U, '\0');
  ssize_t count = 0;
  while (is_file && text.size() <= most && (count = ::read(fd, piece.data(), piece.size())) > 0)
    text.append(piece, 0, static_cast<std::size_t>(count));
  ::close(fd);
  if (!is_file || count < 0)
    return Error{path + (is_file ? " cannot be read" : " is not a file"), ErrorKind::not_found};
  if (text.size() > most) return invalid(path + " is too large");
  return text;
}

std::string setup_path(const std::string& directory) { return directory + "/setup.json"; }
bool is_set_up(const std::string& directory) { return exists(setup_path(directory)); }

Result<Setup> read_setup(const std::string& directory) {
  const auto text = read_text(setup_path(directory));
  if (!text) return text.error();
  auto fields = json::Fields::untrusted(*text);
  fields.allow({"fleet", "names", "listen", "agents_listen", "broker_folder", "broker_run", "broker_address",
                "broker_agents_port", "broker_people_port", "broker_host", "broker_from_here", "certificate_seconds"});
  for (const char* needed : {"fleet", "names", "listen", "agents_listen", "broker_folder", "broker_run"})
    fields.require(needed);
  const auto fleet = fields.name<FleetName>("fleet", name_rule);
  const auto names = fields.strings("names");
  if (fields.ok() && names.empty()) fields.fail("`names` is empty");
  const Setup usual{*FleetName::parse("home"), {}, {}, {}, {}, {}, {}};
  const Setup setup{
      fleet.value_or(usual.fleet),
      names,
      fields.string("listen").value_or(""),
      fields.string("agents_listen").value_or(""),
      fields.string("broker_folder").value_or(""),
      fields.string("broker_run").value_or(""),
      fields.string("broker_address").value_or(""),
      static_cast<int>(fields.integer("broker_agents_port", 1, 65535).value_or(usual.broker_agents_port)),
      static_cast<int>(fields.integer("broker_people_port", 1, 65535).value_or(usual.broker_people_port)),
      fields.string("broker_host").value_or(""),
      fields.string("broker_from_here").value_or(""),
      fields.integer("certificate_seconds", shortest_certificate_seconds, longest_certificate_seconds).value_or(0)};
  if (!fields.ok()) return fields.error().context(setup_path(directory));
  return setup;
}

Status write_setup(const std::string& directory, const Setup& setup) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("fleet", setup.fleet.str());
    {
      json::ArrayWriter names(object.key("names"));
      for (const auto& name : setup.names) names.string(name);
    }
    object.string("listen", setup.listen);
    object.string("agents_listen", setup.agents_listen);
    object.string("broker_folder", setup.broker_folder);
    object.string("broker_run", setup.broker_run);
    if (!setup.broker_address.empty()) object.string("broker_address", setup.broker_address);
    object.integer("broker_agents_port", setup.broker_agents_port);
    object.integer("broker_people_port", setup.broker_people_port);
    if (!setup.broker_host.empty()) object.string("broker_host", setup.broker_host);
    if (!setup.broker_from_here.empty()) object.string("broker_from_here", setup.broker_from_here);
    if (setup.certificate_seconds > 0) object.integer("certificate_seconds", setup.certificate_seconds);
  }
  return write_private_file(setup_path(directory), body + "\n");
}

std::string broker_for_coordinator(const Setup& setup) {
  if (!setup.broker_from_here.empty()) return setup.broker_from_here;
  return setup.broker_host.empty() ? "localhost" : setup.broker_host;
}

std::string broker_for_others(const Setup& setup, const std::string& known_host) {
  return setup.broker_host.empty() ? known_host : setup.broker_host;
}

std::vector<std::string> with_local_names(const std::vector<std::string>& names) {
  std::vector<std::string> all = names;
  for (const char* local : {"localhost", "127.0.0.1", "::1"}) {
    if (std::ranges::find(all, local) == all.end()) all.emplace_back(local);
  }
  return all;
}

std::vector<std::string> certified_names(const Setup& setup) {
  auto all = with_local_names(setup.names);
  for (const auto& name : {setup.broker_host, setup.broker_from_here}) {
    if (!name.empty() && std::ranges::find(all, name) == all.end()) all.push_back(name);
  }
  return all;
}

bool has_authority(const std::string& directory) { return exists(ca_file(directory)); }
std::string ca_file(const std::string& directory) { return directory + "/ca/ca.crt"; }

Result<pki::Authority> load_authority(const std::string& directory) {
  const auto certificate = read_text(ca_file(directory));
  if (!certificate) return certificate.error();
  const auto key = read_text(directory + "/ca/ca.key");
  if (!key) return key.error();
  auto authority = pki::Authority::load(*certificate, *key);
  if (!authority) return authority.error().context(directory + "/ca");
  return authority;
}

// The certificate last: without it nothing has been issued yet.
Result<pki::Authority> make_authority(const std::string& directory, const Setup& setup) {
  auto authority = pki::Authority::make(setup.fleet, certified_names(setup));
  if (!authority) return authority.error();
  const auto key = authority->key().pem();
  if (!key) return key.error();
  if (auto made = make_folder(directory + "/ca"); !made) return made.error();
  if (auto written = write_private_file(directory + "/ca/ca.key", *key); !written) return written.error();
  if (auto written = write_private_file(ca_file(directory), authority->certificate().pem()); !written)
    return written.error();
  return authority;
}

namespace {

std::string new_authority(const std::string& directory) { return directory + "/ca.new"; }
std::string old_authority(const std::string& directory) { return directory + "/ca.old"; }

Status remove_folder(const std::string& path) {
  std::error_code failure;
  std::filesystem::remove_all(path, failure);
  return failure ? Status(disk_error(path + " cannot be removed", failure)) : success();
}

}  // namespace

bool new_authority_prepared(const std::string& directory) { return has_authority(new_authority(directory)); }

Status prepare_new_authority(const std::string& directory, const Setup& setup) {
  if (new_authority_prepared(directory)) return success();
  const std::string folder = new_authority(directory);
  if (auto removed = remove_folder(folder); !removed) return removed;
  if (auto made = make_folder(folder); !made) return made;
  const auto authority = make_authority(folder, setup);
  return authority ? sync_file(folder) : Status(authority.error());
}

// A folder cannot take the place of another one in one step, so the old one goes first.
Status take_new_authority(const std::string& directory) {
  const std::string place = directory + "/ca";
  if (exists(place)) {
    if (auto removed = remove_folder(old_authority(directory)); !removed) return removed;
    if (auto moved = rename_durably(place, old_authority(directory)); !moved) return moved;
  }
  if (auto moved = rename_durably(new_authority(directory) + "/ca", place); !moved) return moved;
  return remove_unused_authorities(directory);
}

Status remove_unused_authorities(const std::string& directory) {
  if (new_authority_prepared(directory)) return success();
  for (const auto& folder : {new_authority(directory), old_authority(directory)}) {
    if (auto removed = remove_folder(folder); !removed) return removed;
  }
  return success();
}

CertificateFiles certificate_files(const std::string& directory, const std::string& name) {
  return {directory + "/tls/" + name + ".crt", directory + "/tls/" + name + ".key"};
}

std::string brief_certificate(const std::string& directory, const std::string& id) {
  return directory + "/tls/" + std::string(brief_prefix) + id;
}

void remove_brief_certificates(const std::string& directory) {
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(directory + "/tls", failure)) {
    if (entry.path().filename().string().starts_with(brief_prefix)) std::filesystem::remove(entry.path(), failure);
  }
}

Result<CanaryAccess> canary_access(const std::string& directory) {
  const std::string path = directory + "/tls/canary.access";
  if (const auto text = read_text(path)) {
    std::istringstream lines(*text);
    CanaryAccess present;
    std::getline(lines, present.key);
    std::getline(lines, present.password);
    if (secret_id(access_prefix, present.key) && password_file({}, present.password)) return present;
  }
  const std::string key = make_secret(access_prefix).text;
  const auto password = salted_password(key);
  if (!password) return password.error();
  if (auto written = write_private_file(path, key + '\n' + *password + '\n'); !written) return written.error();
  return CanaryAccess{key, *password};
}

Result<std::vector<std::string>> make_certificates(const std::string& directory, const Setup& setup,
                                                   const pki::Authority& authority, std::int64_t now) {
  if (auto made = make_folder(directory + "/tls"); !made) return made.error();
  std::vector<std::string> fresh;
  for (const Row& row : rows) {
    const auto made = make_certificate(row, directory, authority, setup, now);
    if (!made) return made.error();
    if (*made) fresh.emplace_back(row.name);
  }
  return fresh;
}

}  // namespace edgefleet::coordinator
