#include "coordinator/access/broker_files.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <set>

#include "common/protocol/topics.hpp"
#include "coordinator/access/broker_grants.hpp"
#include "coordinator/access/broker_tuning.hpp"
#include "coordinator/access/database.hpp"

namespace edgefleet::coordinator {
namespace {

using protocol::Topics;

constexpr int password_iterations = 101;  // Mosquitto's default
constexpr std::size_t password_bytes = 64;

// ---- mosquitto.conf

bool is_address(std::string_view text) {
  return text.size() <= 64 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == ':' ||
                  c == '%';
         });
}

Status check(const BrokerListener& listener) {
  if (!is_address(listener.address)) return invalid("'" + listener.address + "' is not an address to listen on");
  if (listener.port < 1 || listener.port > 65535) return invalid(std::to_string(listener.port) + " is not a port");
  if (listener.most_connections < 1) return invalid("a listener needs at least one connection");
  return success();
}

std::string live(const char* file) { return std::string("live/") + file; }

// What both listeners have: TLS, a name that is proved, and the client id that follows from it. Otherwise anybody with
// a credential could take over the session of another client by its id.
std::string listener_head(const BrokerListener& listener) {
  return "\nlistener " + std::to_string(listener.port) + (listener.address.empty() ? "" : " " + listener.address) +
         "\nmax_connections " + std::to_string(listener.most_connections) +
         "\nallow_anonymous false"
         "\nuse_username_as_clientid true"
         "\ntls_version tlsv1.2"  // or later
         "\nciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305"
         "\nciphers_tls1.3 TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
         "\ncertfile " +
         live(broker_file::certificate) + "\nkeyfile " + live(broker_file::key) + "\n";
}

// ---- access lists

// One line: "topic read edgefleet/v1/home/agents/#".
std::string grant(std::string_view kind, std::string_view access, std::string_view filter) {
  return std::string(kind) + ' ' + std::string(access) + ' ' + std::string(filter) + '\n';
}

std::string user_section(const Topics& topics, const Person& person) {
  std::string text = "\nuser " + person.name.str() + "\n";
  for (const Grant& one : grants_of(person.role))
    text += grant("topic", one.access, topics.filter(one.pattern, person.name.str()));
  if (!person.home_assistant) return text;
  return text + grant("topic", "read", "homeassistant/#") + grant("topic", "write", "homeassistant/status");
}

// At the broker, or as the submitter of a task. An earlier version may have given others away that are reserved now.
bool has_meaning(std::string_view name) {
  static const std::set<std::string_view> names{coordinator_identity, watch_identity,  canary_identity,
                                                trial_agents[0],      trial_agents[1], "broker",
                                                "localhost",          "http",          "present"};
  return names.contains(name);
}

Status check_names(const std::vector<Person>& people) {
  std::set<ClientName> seen;
  for (const Person& person : people) {
    const std::string& name = person.name.str();
    if (name.empty()) return invalid("an access has no name");
    if (has_meaning(name)) return invalid("an access must not have the reserved name " + name);
    if (!seen.insert(person.name).second) return invalid("two accesses have the name " + name);
  }
  return success();
}

// ---- passwords

std::string base64(const unsigned char* bytes, std::size_t count) {
  std::string text((count + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends it with a zero
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(count));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

const std::string& password_prefix() {
  static const std::string prefix = "$7$" + std::to_string(password_iterations) + "$";
  return prefix;
}

bool is_base64(std::string_view text) {
  const auto end = text.find_last_not_of('=') + 1;
  return text.size() - end <= 2 && std::ranges::all_of(text.substr(0, end), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
         });
}

// Anything else could be a line of its own, or, for Mosquitto, a user without a password.
bool is_password_hash(std::string_view text) {
  constexpr std::size_t salt = 16;
  constexpr std::size_t hash = 88;
  const std::string& prefix = password_prefix();
  return text.size() == prefix.size() + salt + 1 + hash && text.starts_with(prefix) &&
         is_base64(text.substr(prefix.size(), salt)) && text[prefix.size() + salt] == '$' &&
         is_base64(text.substr(prefix.size() + salt + 1));
}

}  // namespace

Result<std::string> broker_configuration(const BrokerListeners& listeners) {
  if (auto good = check(listeners.agents); !good) return good.error();
  if (auto good = check(listeners.people); !good) return good.error();
  if (listeners.agents.port == listeners.people.port) return invalid("both listeners of the broker have the same port");
  return "# Made by edgefleet-coordinator, for mosquitto/watch.sh.\n"
         "# First: Mosquitto does not start if an option of a listener stands above it.\n"
         "per_listener_settings true\n\n" +
         std::string(broker_tuning) + "\n# Certificates: agents, the coordinator, `watch`." +
         listener_head(listeners.agents) + "cafile " + live(broker_file::authority) + "\ncrlfile " +
         live(broker_file::revoked) +
         "\nrequire_certificate true"
         "\nuse_identity_as_username true"
         "\nacl_file " +
         live(broker_file::agents_acl) + "\n\n# Passwords: people and programs." + listener_head(listeners.people) +
         "password_file " + live(broker_file::passwords) + "\nacl_file " + live(broker_file::people_acl) + "\n";
}

bool reserved_name(std::string_view name) {
  static const std::set<std::string_view> actors{actor::setup, actor::restore, actor::expiry, actor::others,
                                                 actor::join_token};
  return has_meaning(name) || actors.contains(name);
}

std::string agents_acl(const FleetName& fleet) {
  const Topics topics(fleet);
  std::string text =
      "# Made by edgefleet-coordinator. An agent has its own topics only; %u is its certificate's name.\n";
  for (const Grant& one : agents_grants()) text += grant("pattern", one.access, topics.filter(one.pattern, "%u"));
  const auto section = [&](std::string_view name, const Grants& grants) {
    text += "\nuser " + std::string(name) + "\n";
    for (const Grant& one : grants) text += grant("topic", one.access, topics.filter(one.pattern, name));
  };
  section(coordinator_identity, {{"readwrite", protocol::everything}});
  text += grant("topic", "write", "homeassistant/device/+/config") + grant("topic", "read", "homeassistant/status");
  section(watch_identity, watch_grants());
  return text;
}

CanaryTopics canary_topics(const FleetName& fleet) {
  const std::string root = Topics(fleet).root();
  return {root + "agents/none/canary", root + "coordinator/canary"};
}

Result<std::string> people_acl(const FleetName& fleet, const std::vector<Person>& people) {
  if (auto good = check_names(people); !good) return good.error();
  const Topics topics(fleet);
  std::string text = "# Made by edgefleet-coordinator. Who has no section here may do nothing.\n";
  for (const Person& person : people) text += user_section(topics, person);
  return text;
}

Result<std::string> password_file(const std::vector<Person>& people, const std::string& canary) {
  if (auto good = check_names(people); !good) return good.error();
  std::string text;
  const auto add = [&](std::string_view name, const std::string& password) {
    text += std::string(name) + ':' + password + '\n';
    return is_password_hash(password) ? success()
                                      : Status(invalid("the access " + std::string(name) + " has no password line"));
  };
  for (const Person& person : people) {
    if (auto added = add(person.name.str(), person.password); !added) return added.error();
  }
  if (canary.empty()) return text;
  if (auto added = add(canary_identity, canary); !added) return added.error();
  return text;
}

Result<std::string> password_hash(std::string_view key, const PasswordSalt& salt) {
  std::array<unsigned char, password_bytes> hash{};
  if (PKCS5_PBKDF2_HMAC(key.data(), static_cast<int>(key.size()), salt.data(), static_cast<int>(salt.size()),
                        password_iterations, EVP_sha512(), static_cast<int>(hash.size()), hash.data()) != 1)
    return Error{"OpenSSL cannot hash the key of an access"};
  return password_prefix() + base64(salt.data(), salt.size()) + '$' + base64(hash.data(), hash.size());
}

}  // namespace edgefleet::coordinator
