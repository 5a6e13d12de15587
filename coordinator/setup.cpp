#include "coordinator/setup.hpp"

#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "common/core/trimmed.hpp"
#include "common/files/private_file.hpp"
#include "common/http_server/address.hpp"
#include "common/logins/logins.hpp"
#include "common/pki/names.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/access/fleet_copy.hpp"
#include "coordinator/access/fleet_restore.hpp"
#include "coordinator/access/secret.hpp"
#include "coordinator/http/host.hpp"
#include "coordinator/new_authority.hpp"
#include "coordinator/recovery_setup.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr const char* program = "edgefleet-coordinator";
constexpr int old_key_days = 30;

void say(const std::string& text) { std::printf("%s\n", text.c_str()); }

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return {};
  std::string text(name.data());
  text = text.substr(0, text.find('.'));
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Of the interfaces that are up; without loopback and link-local addresses, which other machines cannot use.
std::vector<std::string> own_addresses() {
  std::vector<std::string> addresses;
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return addresses;
  for (const ifaddrs* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || (one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
    const int family = one->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    std::array<char, NI_MAXHOST> text{};
    const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (::getnameinfo(one->ifa_addr, length, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) continue;
    const std::string address(text.data());
    if (address.starts_with("fe80") || address.find('%') != std::string::npos) continue;
    addresses.push_back(address);
  }
  ::freeifaddrs(all);
  return addresses;
}

// A name without a dot could be a top-level domain, so the machine's own name has `.local`.
std::vector<std::string> usual_names() {
  std::vector<std::string> names;
  if (const auto host = host_name(); !host.empty() && host != "localhost") names.push_back(host + ".local");
  for (auto& address : own_addresses()) names.push_back(std::move(address));
  if (names.empty()) names.emplace_back("localhost");
  return names;
}

Status check_listener(const std::string& option, const std::string& text) {
  const auto address = http_server::parse_listen(text);
  return address ? success() : Status(invalid(option + ": " + address.error().message));
}

Status check_host(const std::string& option, const std::string& name) {
  if (name.empty()) return success();
  const auto hosts = pki::parse_hosts({name});
  return hosts ? success() : Status(hosts.error().context(option));
}

std::string absolute(const std::string& path) { return fs::absolute(path).lexically_normal().string(); }

// By which accounts of this machine are logged in.
std::string own_url(const Setup& setup) { return "https://localhost:" + port_of_listener(setup.listen); }

// Mosquitto must not be root. What root has made in a folder of its own, no other user can read.
std::string broker_user(const Setup& setup, const std::string& data) {
  const bool apart = !setup.broker_host.empty() || setup.broker_folder != absolute(data) + "/broker";
  if (apart) return "      # the broker; as its user, not as root";
  if (::geteuid() != 0) return "      # the broker; as this user";
  return "      # the broker; not as root: chown -R that user " + absolute(data) +
         ", who then also runs the coordinator";
}

std::string lines_of(const Setup& setup, const std::string& data) {
  std::string names;
  for (const auto& name : setup.names) names += (names.empty() ? "" : ", ") + name;
  return "fleet " + setup.fleet.str() + ", data in " + data + "\n  names and addresses of this machine: " + names +
         "\n  people and programs: " + setup.listen + " (https), agents: " + setup.agents_listen +
         "\n  broker: its files in " + setup.broker_folder + "" +
         (setup.broker_host.empty() ? "" : ", on " + setup.broker_host) + "; agents on port " +
         std::to_string(setup.broker_agents_port) + ", people on port " + std::to_string(setup.broker_people_port);
}

// One that exists may belong to the broker's group, and keeps its mode.
Status make_broker_folder(const std::string& path) {
  std::error_code failure;
  if (fs::is_directory(path, failure)) return success();
  fs::create_directories(path, failure);
  if (failure) return Error{path + " cannot be created: " + failure.message()};
  ::chmod(path.c_str(), S_IRWXU | S_IRGRP | S_IXGRP);
  return success();
}

// What a setup has made in a data directory, and nothing else.
std::vector<std::string> made_in(const std::string& data, const std::string& broker_folder) {
  // The setup itself is the last: until then a removal that was interrupted can be repeated.
  return {data + "/ca",
          data + "/tls",
          data + "/access.db",
          data + "/access.db-journal",
          data + "/recovery.pub",
          data + "/ca.new",
          data + "/ca.old",
          broker_folder + "/current",
          broker_folder + "/generations",
          setup_path(data)};
}

struct Account {
  std::string folder;  // of its logins
  std::optional<Owner> owner;
};

// Those who use this machine's command line: the user who runs this, and the one who has called `sudo`.
std::vector<Account> accounts() {
  std::vector<Account> all{{logins_folder(), {}}};
  const char* caller = std::getenv("SUDO_USER");
  const passwd* entry = caller == nullptr || ::geteuid() != 0 ? nullptr : ::getpwnam(caller);
  if (entry != nullptr && entry->pw_uid != 0) {
    all.push_back({std::string(entry->pw_dir) + "/.config/edgefleet", Owner{entry->pw_uid, entry->pw_gid}});
  }
  return all;
}

// A login is good for one authority; its key may outlive that.
Status renew_logins(const std::string& url, const std::vector<Account>& people, const std::string& ca) {
  for (const Account& account : people) {
    const auto logins = read_logins(account.folder);
    const Login* login = logins ? logins->find(url) : nullptr;
    if (login == nullptr) continue;
    const auto present = read_text(login->ca_file);
    if (present && *present == ca) continue;
    const auto kept = keep_ca(account.folder, ca, account.owner);
    if (!kept) return kept.error().context("the login of this account");
    const auto renewed =
        keep_login(account.folder, {login->url, login->name, login->role, login->key, *kept}, account.owner);
    if (!renewed) return renewed.error().context("the login of this account");
  }
  return success();
}

}  // namespace

SetupCommand::SetupCommand(Configuration& configuration, const std::string& data, const std::string& fleet)
    : data_(data), fleet_(fleet) {
  command_ = configuration.command("setup",
                                   "Makes a fleet that nobody uses without a credential: certificates, the "
                                   "broker's files, the first access");
  command_
      ->add_option("--host", names_,
                   "a DNS name or an address of this machine, repeated for each; the first one is shown to people "
                   "(default: HOSTNAME.local and the addresses)")
      ->type_name("NAME");
  command_->add_option("--people-listen", listen_, "HOST:PORT for people and programs (default: *:7001)");
  command_->add_option("--agents-listen", agents_listen_, "HOST:PORT for agents (default: *:7002)");
  command_->add_option("--broker-folder", broker_folder_,
                       "folder of the broker's files, for mosquitto/watch.sh (default: DATA/broker)");
  command_->add_option("--broker-run", broker_run_,
                       "folder of mosquitto/watch.sh itself, which its user may write (default: BROKER-FOLDER/run)");
  command_->add_option("--broker-address", broker_address_, "address that the broker listens on (default: all)");
  command_->add_option("--broker-agents-port", broker_agents_port_, "the broker's port for agents (default: 8883)")
      ->check(CLI::Range(1, 65535));
  command_
      ->add_option("--broker-people-port", broker_people_port_,
                   "the broker's port for people and programs (default: 8884)")
      ->check(CLI::Range(1, 65535));
  command_->add_option("--broker-host", broker_host_,
                       "DNS name or address of the broker's machine, if it is not this one (localhost: it is)");
  command_->add_option("--broker-from-here", broker_from_here_,
                       "by which the coordinator reaches the broker, if it differs: the name of a container");
  command_->add_option("--admin", admin_, "name of the first access, with the role admin")->capture_default_str();
  command_->add_option("--key-file", key_file_, "also write the key of the first access to this file");
  command_->add_option("--recovery-key-file", recovery_key_file_,
                       "write the recovery key to this file, instead of showing it on the terminal");
  command_->add_flag("--new-recovery-key", new_recovery_key_, "make another recovery key; older backups need theirs");
  command_->add_flag("--new-ca", new_ca_,
                     "replace a certification authority that was lost or stolen: all agents join anew; asks first");
  command_
      ->add_option("--test-certificate-seconds", certificate_seconds_,
                   "for tests only: no certificate lives longer, so that renewals can be watched")
      ->check(CLI::Range(shortest_certificate_seconds, longest_certificate_seconds))
      ->group("");
  command_->add_flag("--yes", yes_, "do not ask");
  command_->add_flag("--dry-run", dry_run_, "only say what would be done");
  command_->add_flag("--remove", remove_, "remove what setup has made; tasks and artifacts stay");
  command_->footer(
      "It can be run again at any time, also with other names or ports; what is there and right is kept. Stop the\n"
      "coordinator first.\n\n"
      "Examples:\n"
      "  edgefleet-coordinator setup --data /var/lib/edgefleet\n"
      "  edgefleet-coordinator setup --data /var/lib/edgefleet --host pi-1.local --host 192.168.1.10\n"
      "  edgefleet-coordinator setup --data /var/lib/edgefleet --remove\n");
}

std::optional<int> SetupCommand::run() {
  if (!command_->parsed()) return std::nullopt;
  const Status done = remove_ ? remove() : set_up();
  return done ? 0 : give_up(program, done.error().message);
}

// What was chosen before, with what is given now.
Result<Setup> SetupCommand::wanted() const {
  const auto fleet = FleetName::parse(fleet_);
  if (!fleet) return invalid("--fleet \"" + fleet_ + "\" is not valid: " + std::string(name_rule));
  Setup setup{*fleet, usual_names(), "*:7001", "*:7002", absolute(data_) + "/broker", {}, {}};
  if (is_set_up(data_)) {
    auto present = read_setup(data_);
    if (!present) return present;
    // --fleet has a default, so it cannot be told from one that was given.
    setup = *present;
  }
  if (!names_.empty()) setup.names = names_;
  if (const auto hosts = pki::parse_hosts(setup.names); !hosts) return hosts.error().context("--host");
  for (std::string& name : setup.names) name = host_of(in_url(name));  // in lower case
  if (!listen_.empty()) setup.listen = listen_;
  if (!agents_listen_.empty()) setup.agents_listen = agents_listen_;
  if (auto good = check_listener("--people-listen", setup.listen); !good) return good.error();
  if (auto good = check_listener("--agents-listen", setup.agents_listen); !good) return good.error();
  if (!broker_folder_.empty()) setup.broker_folder = absolute(broker_folder_);
  if (!broker_run_.empty()) setup.broker_run = absolute(broker_run_);
  if (setup.broker_run.empty()) setup.broker_run = setup.broker_folder + "/run";
  if (!broker_address_.empty()) setup.broker_address = broker_address_;
  if (broker_agents_port_ > 0) setup.broker_agents_port = broker_agents_port_;
  if (broker_people_port_ > 0) setup.broker_people_port = broker_people_port_;
  if (!broker_host_.empty()) setup.broker_host = broker_host_ == "localhost" ? "" : broker_host_;
  if (!broker_from_here_.empty()) setup.broker_from_here = broker_from_here_ == "localhost" ? "" : broker_from_here_;
  if (certificate_seconds_ > 0) setup.certificate_seconds = certificate_seconds_;
  if (auto good = check_host("--broker-host", setup.broker_host); !good) return good.error();
  if (auto good = check_host("--broker-from-here", setup.broker_from_here); !good) return good.error();
  return setup;
}

Status SetupCommand::say_plan(const Setup& setup) const {
  say("would set up " + lines_of(setup, absolute(data_)));
  if (!fs::exists(recovery_key_path(data_)) || new_recovery_key_) say("would make a recovery key");
  if (!new_ca_) return success();
  const auto plan = plan_of_new_authority(data_, setup);
  if (!plan) return plan.error();
  say("would make this, too. " + *plan);
  return success();
}

// The one that is there, or a new one. Error: it may not certify a name of this machine.
Result<pki::Authority> SetupCommand::authority(const Setup& setup) const {
  auto authority = has_authority(data_) ? load_authority(data_) : make_authority(data_, setup);
  if (!authority) {
    return Error{authority.error().message +
                     ". Restore a backup, or let `edgefleet-coordinator setup --new-ca` make another authority: all "
                     "agents join anew then",
                 authority.error().kind};
  }
  for (const auto& name : certified_names(setup)) {
    if (auto permitted = authority->permits(name); !permitted) {
      return Error{
          name + " is outside of what this fleet's certification authority may certify: " + permitted.error().message +
              ". With --new-ca another authority is made for the new names: all agents join anew then",
          ErrorKind::unsupported};
    }
  }
  return authority;
}

// Each step is done only if it is needed, so that after a kill at any of them the next run completes it. The record of
// the setup comes before the first access: from then on the coordinator starts closed.
Status SetupCommand::set_up() const {
  const auto setup = wanted();
  if (!setup) return setup.error();
  if (dry_run_) return say_plan(*setup);
  ::prctl(PR_SET_DUMPABLE, 0);  // it has keys that are shown once
  DirectoryLock lock;
  if (auto taken = lock.take(data_); !taken) return taken;
  if (restore_unfinished(data_)) return unfinished_restore(data_);
  if (new_ca_ || new_authority_prepared(data_)) {
    if (auto replaced = replace_authority(data_, *setup, yes_); !replaced) return replaced;
  }
  if (const auto usable = authority(*setup); !usable) return usable.error();
  if (auto made = make_broker_folder(setup->broker_folder); !made) return made;
  if (auto written = write_setup(data_, *setup); !written) return written;

  auto closed = ClosedFleet::open(data_);
  if (!closed) return closed.error();
  ClosedFleet& fleet = **closed;
  std::vector<std::string> reserved;  // beside those of reserved_name()
  for (const auto& name : setup->names) {
    reserved.push_back(name);
    reserved.push_back(name.substr(0, name.find('.')));
  }
  if (auto kept = fleet.accesses().database().reserve(reserved); !kept) return kept;
  if (auto logged_in = log_in(fleet); !logged_in) return logged_in;
  if (const auto published = fleet.publish(); !published) return published.error();
  if (auto released = release_stopped_broker(*setup); !released) return released;
  say("set up " + lines_of(*setup, absolute(data_)));
  say("Next:");
  say("  mosquitto/watch.sh " + setup->broker_folder + " " + setup->broker_run + broker_user(*setup, data_));
  say("  edgefleet-coordinator --data " + absolute(data_));
  say("  edgefleet join-token create      # the line for the next machine");
  say("This account is logged in as " + admin_ + ".");
  return make_recovery_key(data_, {recovery_key_file_, new_recovery_key_});
}

// The key of the first access that one of these accounts has, or a new one. An access whose key nobody has is no use: a
// run that was killed before the key was kept has left it. But other machines may have it.
Result<std::string> SetupCommand::admin_key(Registry& accesses, const std::vector<std::string>& known) const {
  const WallTime now = wall_now();
  const auto present = accesses.named(admin_);
  if (present && (present->role != Role::admin || !present->owner.empty() || present->ended(now))) {
    return Error{"the access " + admin_ + " has the role " + std::string(to_string(present->role)) +
                     (present->ended(now) ? ", and its time is over" : "") + "; name another one with --admin",
                 ErrorKind::conflict};
  }
  for (const auto& key : known) {
    const auto access = accesses.find(key, now);
    if (access && access->name == admin_ && access->key_id == secret_id(access_prefix, key)) return key;
  }
  const std::string who(actor::setup);
  if (!present) {
    const auto made = accesses.create_access(who, admin_, Role::admin, {}, true);
    return made ? Result<std::string>(made->key) : made.error();
  }
  const auto made = accesses.rotate_access(who, admin_, std::chrono::hours(24 * old_key_days));
  if (!made) return made.error();
  say("The key that " + admin_ + " had before is good for " + std::to_string(old_key_days) +
      " days more, for other machines that are logged in with it; `edgefleet access rotate " + admin_ +
      "` ends it at once.");
  return made->key;
}

Status SetupCommand::log_in(ClosedFleet& fleet) const {
  Registry& accesses = fleet.accesses();
  const std::string url = own_url(fleet.setup());
  const auto people = accounts();
  if (auto kept = renew_logins(url, people, fleet.authority().certificate().pem()); !kept) return kept;
  std::vector<std::string> known;
  std::vector<Account> without_key;
  for (const Account& account : people) {
    const auto logins = read_logins(account.folder);
    const Login* login = logins ? logins->find(url) : nullptr;
    if (login != nullptr) known.push_back(login->key);
    if (login == nullptr || !accesses.find(login->key, wall_now())) without_key.push_back(account);
  }
  const bool no_file = !key_file_.empty() && !fs::exists(key_file_);
  if (const auto text = key_file_.empty() ? Result<std::string>("") : read_text(key_file_)) {
    known.emplace_back(trimmed(*text));
  }
  if (accesses.named(admin_) && without_key.empty() && !no_file) return success();
  const auto key = admin_key(accesses, known);
  if (!key) return key.error();
  if (!key_file_.empty()) {
    if (auto written = write_private_file(key_file_, *key + "\n"); !written) return written;
  }
  for (const Account& account : without_key) {
    const auto ca = keep_ca(account.folder, fleet.authority().certificate().pem(), account.owner);
    if (!ca) return ca.error().context("the login of this account");
    const auto kept = keep_login(account.folder, {url, admin_, "admin", *key, *ca}, account.owner);
    if (!kept) return kept.error().context("the login of this account");
  }
  return success();
}

Status SetupCommand::remove() const {
  DirectoryLock lock;
  if (auto taken = lock.take(data_); !taken) return taken;
  if (restore_unfinished(data_)) return unfinished_restore(data_);
  const auto setup = is_set_up(data_) ? read_setup(data_) : Result<Setup>(invalid("there is no setup in " + data_));
  if (!setup) return setup.error();
  const auto made = made_in(data_, setup->broker_folder);
  for (const auto& path : made) {
    std::error_code failure;
    if (!fs::exists(fs::symlink_status(path))) continue;
    if (dry_run_) {
      say("would remove " + path);
      continue;
    }
    fs::remove_all(path, failure);
    if (failure) return Error{path + " cannot be removed: " + failure.message()};
    say("removed " + path);
  }
  say(dry_run_ ? "nothing was changed"
               : "the setup is removed: all keys and certificates of this fleet are useless now");
  if (dry_run_) return success();
  say("Next:");
  say("  stop mosquitto/watch.sh: its broker runs until then");
  say("  edgefleet logout " + own_url(*setup) + "      # each account that is logged in");
  say("  edgefleet-coordinator --data " + absolute(data_) + "      # for this machine only, or setup again");
  return success();
}

}  // namespace edgefleet::coordinator
