#include "coordinator/access/broker_files.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/support/catch.hpp"
#include "tests/support/output_of.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const FleetName home = *FleetName::parse("home");
const PasswordSalt salt{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

Person person(const char* name, Role role, bool home_assistant = false) {
  return {*ClientName::parse(name), role, *password_hash("a key", salt), home_assistant};
}

using Lines = std::vector<std::string>;

// The lines below `user NAME`; without a name, those above the first user. Without comments and empty lines.
Lines section(const std::string& acl, const std::string& name) {
  std::istringstream text(acl);
  std::string user;
  Lines lines;
  for (std::string line; std::getline(text, line);) {
    if (line.empty() || line[0] == '#') continue;
    if (line.starts_with("user ")) {
      user = line.substr(5);
    } else if (user == name) {
      lines.push_back(line);
    }
  }
  return lines;
}

Lines of_person(const Person& one) {
  const auto acl = people_acl(home, {person("before", Role::admin), one, person("behind", Role::admin)});
  REQUIRE(acl);
  return section(*acl, one.name.str());
}

const Lines observing{"topic read edgefleet/v1/home/agents/#", "topic read edgefleet/v1/home/coordinator/status",
                      "topic read edgefleet/v1/home/coordinator/summary", "topic read edgefleet/v1/home/events/#"};
Lines submitting(const std::string& name) {
  return {"topic write edgefleet/v1/home/submit/" + name, "topic read edgefleet/v1/home/replies/" + name + "/#"};
}
Lines together(Lines first, const Lines& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

std::string content_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("an agent's certificate may write seven topics and read five, all of its own name or the coordinator's") {
  CHECK(section(agents_acl(home), "") == Lines{
                                             "pattern write edgefleet/v1/home/agents/%u/status",
                                             "pattern write edgefleet/v1/home/agents/%u/info",
                                             "pattern write edgefleet/v1/home/agents/%u/heartbeat",
                                             "pattern write edgefleet/v1/home/agents/%u/temperature",
                                             "pattern write edgefleet/v1/home/agents/%u/parameters",
                                             "pattern write edgefleet/v1/home/results/%u",
                                             "pattern write edgefleet/v1/home/streams/%u",
                                             "pattern read edgefleet/v1/home/tasks/+/%u",
                                             "pattern read edgefleet/v1/home/control/%u",
                                             "pattern read edgefleet/v1/home/agents/%u/status",
                                             "pattern read edgefleet/v1/home/coordinator/status",
                                             "pattern read edgefleet/v1/home/coordinator/crl",
                                         });
}

TEST_CASE("the coordinator's certificate may do all in its fleet, and `watch` may read who coordinates") {
  const std::string acl = agents_acl(home);
  CHECK(section(acl, "coordinator") == Lines{"topic readwrite edgefleet/v1/home/#",
                                             "topic write homeassistant/device/+/config",
                                             "topic read homeassistant/status"});
  Lines granted;
  for (const std::string& line : section(acl, "watch")) {
    if (!line.starts_with("topic deny ")) granted.push_back(line);
  }
  CHECK(granted ==
        Lines{"topic read edgefleet/v1/home/coordinator/status", "topic read edgefleet/v1/home/coordinator/beat"});
}

TEST_CASE("`watch` is no agent: what it could do as one of this name is denied") {
  const std::string acl = agents_acl(home);
  const Lines denied = section(acl, "watch");
  for (std::string line : section(acl, "")) {
    if (line.ends_with("/coordinator/status")) continue;
    line = "topic deny " + line.substr(line.find("edgefleet"));
    if (const auto name = line.find("%u"); name != std::string::npos) line.replace(name, 2, "watch");
    INFO(line);
    CHECK(std::ranges::find(denied, line) != denied.end());
  }
}

TEST_CASE("a person may do on MQTT what the role says") {
  CHECK(of_person(person("ann", Role::observe)) == observing);
  CHECK(of_person(person("ann", Role::chat)) == submitting("ann"));
  CHECK(of_person(person("ann", Role::submit)) == submitting("ann"));
  const Lines both = together(observing, submitting("ann"));
  CHECK(of_person(person("ann", Role::operate)) == together(both, {"topic write edgefleet/v1/home/operate/ann"}));
  CHECK(of_person(person("ann", Role::admin)) == together(both, {"topic read edgefleet/v1/home/#"}));
}

TEST_CASE("Home Assistant reads its own tree and writes that it is there") {
  const Lines lines = of_person(person("ha", Role::operate, true));
  CHECK(Lines(lines.end() - 2, lines.end()) == Lines{"topic read homeassistant/#", "topic write homeassistant/status"});
}

TEST_CASE("no line to write has a wildcard, except for the coordinator") {
  std::vector<Person> people;
  for (const Role role : {Role::observe, Role::chat, Role::submit, Role::operate, Role::admin})
    people.push_back(person(std::string(to_string(role)).c_str(), role, true));
  Lines lines = section(agents_acl(home), "");
  for (const Person& one : people) lines = together(std::move(lines), of_person(one));
  for (const std::string& line : lines) {
    INFO(line);
    CHECK((line.find(" read ") != std::string::npos || line.find_first_of("+#") == std::string::npos));
  }
}

TEST_CASE("a name that is empty, reserved or there already gets no access") {
  for (const char* reserved : {"coordinator", "watch", "broker", "canary", "localhost"}) {
    INFO(reserved);
    CHECK_FALSE(people_acl(home, {person(reserved, Role::observe)}));
    CHECK_FALSE(password_file({person(reserved, Role::observe)}));
  }
  CHECK_FALSE(people_acl(home, {person("ann", Role::observe), person("ann", Role::admin)}));
  CHECK_FALSE(password_file({person("ann", Role::observe), person("ann", Role::admin)}));
  CHECK_FALSE(people_acl(home, {Person{}}));
  CHECK_FALSE(password_file({Person{}}));
}

TEST_CASE("a password that password_hash() has not made gets no line") {
  const std::string good = *password_hash("a key", salt);
  const auto refused = [](const std::string& password) {
    INFO(password);
    CHECK_FALSE(password_file({{*ClientName::parse("ann"), Role::observe, password, false}}));
  };
  refused("");
  refused("a key");
  refused(good + "\n");
  refused(good.substr(0, good.size() - 1) + "\n");
  refused("$6" + good.substr(2));
  refused(good.substr(0, 20) + "\nb:" + good.substr(23));
  const auto file = password_file({person("ann", Role::observe), person("ben", Role::chat)});
  REQUIRE(file);
  CHECK(*file == "ann:" + good + "\nben:" + good + "\n");
}

TEST_CASE("a password line is what mosquitto_passwd makes of the same key and salt") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "passwords";
  std::ofstream(path) << "ann:a key\n";
  REQUIRE(test::output_of("mosquitto_passwd -U " + path + " 2>&1").empty());
  std::string line = content_of(path);
  line.pop_back();
  REQUIRE(line.starts_with("ann:$7$101$"));
  const std::string text = line.substr(11, 16);
  PasswordSalt bytes{};
  std::size_t bits = 0;
  unsigned value = 0;
  std::size_t at = 0;
  for (const char c : text) {
    static const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    value = (value << 6U) | static_cast<unsigned>(digits.find(c));
    bits += 6;
    if (bits >= 8) bytes.at(at++) = static_cast<unsigned char>(value >> (bits -= 8));
  }
  CHECK("ann:" + *password_hash("a key", bytes) == line);
}

TEST_CASE(
    "mosquitto.conf has the tuning of mosquitto/common.conf, and nothing of a listener above per_listener_settings") {
  const auto text = broker_configuration({});
  REQUIRE(text);
  CHECK(text->find(content_of(EDGEFLEET_SOURCE_DIR "/mosquitto/common.conf")) != std::string::npos);
  std::istringstream lines(*text);
  std::string first;
  while (std::getline(lines, first) && (first.empty() || first[0] == '#')) {
  }
  CHECK(first == "per_listener_settings true");
}

TEST_CASE("both listeners prove who it is, bind the client id to it, and are bounded") {
  const auto text = broker_configuration({{"127.0.0.1", 1234, 7}, {"::1", 4321, 5}});
  REQUIRE(text);
  const auto second = text->find("\nlistener 4321 ::1\n");
  const std::string agents = text->substr(text->find("\nlistener 1234 127.0.0.1\n"), second);
  const std::string people = text->substr(second);
  for (const std::string& one : {agents, people}) {
    INFO(one);
    for (const char* line : {"allow_anonymous false", "use_username_as_clientid true", "tls_version tlsv1.2",
                             "certfile live/server.crt", "keyfile live/server.key"})
      CHECK(one.find("\n" + std::string(line) + "\n") != std::string::npos);
  }
  for (const char* line : {"max_connections 7", "require_certificate true", "use_identity_as_username true",
                           "cafile live/ca.crt", "crlfile live/crl.pem", "acl_file live/agents.acl"})
    CHECK(agents.find("\n" + std::string(line) + "\n") != std::string::npos);
  for (const char* line : {"max_connections 5", "password_file live/passwords", "acl_file live/people.acl"})
    CHECK(people.find("\n" + std::string(line) + "\n") != std::string::npos);
}

TEST_CASE("a listener that could add a line to mosquitto.conf, or cannot exist, is refused") {
  const BrokerListener good{"", 8884, 1};
  CHECK(broker_configuration({{"fe80::1%eth0", 8883, 1}, good}));
  for (const BrokerListener& bad : {BrokerListener{"127.0.0.1\nallow_anonymous true", 8883, 1},
                                    {"a b", 8883, 1},
                                    {"", 0, 1},
                                    {"", 65536, 1},
                                    {"", 8883, 0},
                                    {"", 8884, 1}}) {
    INFO(bad.address << ' ' << bad.port << ' ' << bad.most_connections);
    CHECK_FALSE(broker_configuration({bad, good}));
  }
}
