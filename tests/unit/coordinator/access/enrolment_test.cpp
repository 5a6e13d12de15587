#include "coordinator/access/enrolment.hpp"

#include <set>

#include "coordinator/access/registry.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

constexpr std::int64_t day = 86'400;

struct House {
  std::int64_t clock = 1'800'000'000;
  test::TemporaryFolder folder;
  pki::Authority authority = *pki::Authority::make(*FleetName::parse("home"), {"pi-1.local"});
  std::unique_ptr<AccessDatabase> database = *AccessDatabase::open(folder.path());
  std::unique_ptr<Enrolment> enrolment = open();

  std::unique_ptr<Enrolment> open() {
    return *Enrolment::open(*database, authority, [this] { return clock; });
  }
  void reopen() {
    enrolment.reset();
    database = *AccessDatabase::open(folder.path());
    enrolment = open();
  }
  std::string token(const std::string& name = "", std::int64_t uses = 1, Duration ttl = std::chrono::hours(1)) {
    JoinToken wanted;
    wanted.name = name;
    wanted.uses = uses;
    auto made = enrolment->create_token("anna", wanted, ttl);
    REQUIRE(made);
    return made->secret;
  }
  Result<EnrolledAgent> join(const std::string& token, const std::string& name, const pki::Key& key = *pki::Key::make(),
                             bool named = true, const std::string& machine = "") {
    return enrolment->join(token, key.public_key(), {name, named, machine});
  }
  pki::RevocationList revoked() const { return *enrolment->revoked(); }
};

}  // namespace

TEST_CASE("a token makes an agent: its certificate is of the fleet, and is known after a restart") {
  House house;
  const auto key = *pki::Key::make();
  const auto agent = house.join(house.token(), "pi-7", key);
  REQUIRE(agent);
  const auto certificate = *pki::Certificate::from_pem(agent->certificate);
  CHECK(certificate.verified_by(house.authority.certificate(), pki::Use::client));
  CHECK(*certificate.common_name() == "pi-7");
  CHECK(certificate.not_before() == pki::first_date);
  CHECK(certificate.not_after() == house.clock + 365 * day);
  house.reopen();
  CHECK(house.enrolment->owner_of(certificate.serial()) == "pi-7");
  CHECK(house.enrolment->find("pi-7")->key_sha256 == key.public_key().sha256());
}

TEST_CASE("a use of a token is bound to the key: the same key has the same answer, another one has none") {
  House house;
  const auto token = house.token();
  const auto key = *pki::Key::make();
  const auto first = house.join(token, "pi-7", key);
  REQUIRE(first);
  house.reopen();
  CHECK(house.join(token, "pi-7", key)->certificate == first->certificate);
  const auto other = house.join(token, "pi-8");
  REQUIRE_FALSE(other);
  CHECK(other.error().message.find("has been used") != std::string::npos);
  house.clock += 3601;
  CHECK_FALSE(house.join(token, "pi-7", key));
}

TEST_CASE("tokens that are late, changed, revoked or of another fleet are refused") {
  House house;
  const auto late = house.token();
  house.clock += 3600;
  CHECK(house.join(late, "pi-7").error().message.find("has ended") != std::string::npos);
  auto changed = house.token();
  changed.back() = changed.back() == 'a' ? 'b' : 'a';
  CHECK(house.join(changed, "pi-7").error().kind == ErrorKind::forbidden);
  const auto revoked = house.token();
  const auto tokens = *house.enrolment->tokens();
  for (const auto& token : tokens) REQUIRE(house.enrolment->revoke_token("anna", token.id));
  CHECK_FALSE(house.join(revoked, "pi-7"));
  CHECK_FALSE(house.join("efj_nonsense", "pi-7"));
  CHECK(house.enrolment->agents().empty());
}

TEST_CASE("names: taken ones are refused, host names get a suffix, three fresh machines of one name join") {
  House house;
  const auto registry = *Registry::open(*house.database);
  REQUIRE(registry->create_access("setup", "phone", Role::chat, {}));
  REQUIRE(house.join(house.token(), "pi-7"));
  CHECK(house.join(house.token(), "pi-7").error().kind == ErrorKind::conflict);
  CHECK(house.join(house.token(), "phone").error().kind == ErrorKind::conflict);
  CHECK(house.join(house.token(), "coordinator").error().kind == ErrorKind::conflict);
  CHECK_FALSE(house.join(house.token(), "no name"));
  const auto many = house.token("", 10);
  std::set<std::string> names;
  for (const char* machine : {"serial-1", "serial-2", "", ""}) {
    const auto agent = house.join(many, "raspberrypi", *pki::Key::make(), false, machine);
    REQUIRE(agent);
    names.insert(agent->name);
  }
  CHECK(names.size() == 4);
  CHECK(names.contains("raspberrypi"));
  CHECK_FALSE(registry->create_access("anna", "raspberrypi", Role::chat, {}));
}

TEST_CASE("a token for a name replaces the machine that has it, whose certificate is revoked") {
  House house;
  const auto before = house.join(house.token(), "pi-7");
  const auto number = house.revoked().number;
  const auto after = house.join(house.token("pi-7"), "whatever");
  REQUIRE(after);
  CHECK(after->name == "pi-7");
  CHECK_FALSE(house.enrolment->owner_of(before->serial));
  const auto list = house.revoked();
  CHECK(list.contains(before->serial));
  CHECK_FALSE(list.contains(after->serial));
  CHECK(list.number > number);
}

TEST_CASE("a revoked agent is gone, its name is free, and its entry outlives its certificate by a week") {
  House house;
  const auto agent = house.join(house.token(), "pi-7");
  REQUIRE(house.enrolment->revoke("anna", "pi-7"));
  CHECK_FALSE(house.enrolment->revoke("anna", "pi-7"));
  CHECK_FALSE(house.enrolment->find("pi-7"));
  house.clock = agent->not_after + 6 * day;
  CHECK(house.revoked().contains(agent->serial));
  house.clock = agent->not_after + 8 * day;
  CHECK_FALSE(house.revoked().contains(agent->serial));
  CHECK(house.join(house.token(), "pi-7"));
}

TEST_CASE("a renewal has a new certificate for the same name, and the old serial counts no more") {
  House house;
  const auto key = *pki::Key::make();
  const auto first = house.join(house.token(), "pi-7", key);
  house.clock += 250 * day;
  const auto second = house.enrolment->renew("pi-7", key.public_key());
  REQUIRE(second);
  CHECK(second->not_after == house.clock + 365 * day);
  CHECK(house.enrolment->owner_of(second->serial) == "pi-7");
  CHECK_FALSE(house.enrolment->owner_of(first->serial));
  CHECK_FALSE(house.enrolment->renew("pi-8", key.public_key()));
}

TEST_CASE("whoever did not get the answer to its renewal gets it again, and is known by the certificate that it has") {
  House house;
  const auto key = *pki::Key::make();
  const auto first = house.join(house.token(), "pi-7", key);
  const auto had = *pki::Certificate::from_pem(first->certificate);
  house.clock += 250 * day;
  const auto lost = house.enrolment->renew("pi-7", key.public_key());
  REQUIRE(lost);
  house.reopen();
  CHECK_FALSE(house.enrolment->owner_of(had.serial()));
  CHECK(house.enrolment->recognise(had, "192.168.1.7") == "pi-7");
  CHECK(house.enrolment->unknown().empty());
  house.clock += day;
  CHECK(house.enrolment->renew("pi-7", key.public_key())->serial == lost->serial);
  house.clock += 30 * day;
  CHECK(house.enrolment->renew("pi-7", key.public_key())->serial != lost->serial);
  // With another key, or revoked, it is nobody's.
  REQUIRE(house.enrolment->renew("pi-7", pki::Key::make()->public_key()));
  CHECK_FALSE(house.enrolment->recognise(had, "192.168.1.7"));
  REQUIRE(house.enrolment->revoke("anna", "pi-7"));
  CHECK_FALSE(house.enrolment->recognise(had, "192.168.1.7"));
  CHECK(house.revoked().contains(had.serial()));
}

TEST_CASE("in a simulated year an agent that asks for a renewal every hour gets one every half month at most") {
  House house;
  const auto key = *pki::Key::make();
  auto present = *house.join(house.token(), "pi-7", key);
  int renewals = 0;
  for (int hour = 0; hour < 365 * 24; ++hour, house.clock += 3600) {
    const auto agent = house.enrolment->renew("pi-7", key.public_key());
    REQUIRE(agent);
    if (agent->serial != present.serial) ++renewals;
    present = *agent;
  }
  CHECK(renewals >= 22);
  CHECK(renewals <= 24);
}

TEST_CASE("nothing that ends is issued while the clock is wrong") {
  House house;
  const auto token = house.token("", 10, std::chrono::hours(24 * 100));
  house.clock = 1000;
  const auto early = house.join(token, "pi-7");
  REQUIRE_FALSE(early);
  CHECK(early.error().kind == ErrorKind::unavailable);
  house.clock = 1'800'000'000 + 50 * day;
  REQUIRE(house.join(house.token(), "pi-8"));
  house.clock = 1'800'000'000;
  CHECK(house.join(token, "pi-7").error().message.find("clock") != std::string::npos);
}

TEST_CASE("an accepted machine has its name from a person, who may replace another one") {
  House house;
  const auto key = *pki::Key::make();
  CHECK(house.enrolment->accept("anna", key.public_key(), {"pi-7", true, ""})->name == "pi-7");
  const auto again = *pki::Key::make();
  CHECK(house.enrolment->accept("anna", again.public_key(), {"pi-7", true, ""})->name == "pi-7");
  const auto host = *pki::Key::make();
  CHECK(house.enrolment->accept("anna", host.public_key(), {"pi-7", false, "abcd"})->name != "pi-7");
  CHECK(house.enrolment->agents().size() == 2);
}

TEST_CASE("tokens have bounds") {
  House house;
  const auto make = [&](JoinToken wanted, Duration ttl = std::chrono::hours(1)) {
    return house.enrolment->create_token("anna", std::move(wanted), ttl).ok();
  };
  JoinToken token;
  CHECK(make(token));
  CHECK_FALSE(make(token, Duration{0}));
  CHECK_FALSE(make(token, std::chrono::hours(24 * 400)));
  token.uses = 0;
  CHECK_FALSE(make(token));
  token.uses = 2;
  token.name = "pi-7";
  CHECK_FALSE(make(token));
  token.uses = 1;
  token.name = "watch";
  CHECK_FALSE(make(token));
  token.name = "pi-7";
  token.capabilities = {"a b"};
  CHECK_FALSE(make(token));
  CHECK(house.enrolment->tokens()->size() == 1);
}

TEST_CASE("ephemeral agents have certificates of a day, and leave nothing behind when they are forgotten") {
  House house;
  JoinToken wanted;
  wanted.uses = 0;
  wanted.ephemeral = true;
  const auto token = house.enrolment->create_token("anna", wanted, std::nullopt)->secret;
  const auto list = house.revoked();
  const auto lasting = *house.join(house.token(), "pi-1");
  std::string serial;
  for (int i = 0; i < 50; ++i) {  // containers of one host name come and go; the token has neither limit
    house.clock += 40 * day;
    const auto agent = house.join(token, "worker", *pki::Key::make(), false, "machine");
    REQUIRE(agent);
    CHECK(agent->name == "worker");
    const auto certificate = *pki::Certificate::from_pem(agent->certificate);
    CHECK(certificate.not_after() == house.clock + day);
    serial = certificate.serial();
    house.reopen();
    CHECK(house.enrolment->ephemeral() == std::vector<std::string>{"worker"});
    REQUIRE(house.enrolment->forget("worker"));
    // It may come back with a certificate that has not ended.
    CHECK_FALSE(house.enrolment->owner_of(serial));
    CHECK_FALSE(house.enrolment->recognise(certificate, "192.0.2.1"));
  }
  CHECK(house.enrolment->unknown().empty());
  CHECK(house.revoked().number == list.number);
  CHECK(house.revoked().revoked == list.revoked);
  CHECK(house.enrolment->agents().size() == 1);
  CHECK(house.enrolment->forget("pi-1").error().kind == ErrorKind::not_found);
  CHECK(house.enrolment->owner_of(lasting.serial) == "pi-1");
}

TEST_CASE("an ephemeral agent is renewed for a day, and replaced without an entry in the list") {
  House house;
  JoinToken wanted;
  wanted.name = "worker-01";
  wanted.uses = 0;
  wanted.ephemeral = true;
  const auto token = house.enrolment->create_token("anna", wanted, std::nullopt)->secret;
  const auto key = *pki::Key::make();
  const auto first = house.join(token, "whatever", key);
  REQUIRE(first);
  CHECK(first->name == "worker-01");
  house.clock += day / 2;
  CHECK(house.enrolment->renew("worker-01", key.public_key())->not_after == house.clock + day);
  const auto second = house.join(token, "whatever");
  REQUIRE(second);
  CHECK(second->name == "worker-01");
  CHECK_FALSE(house.enrolment->owner_of(first->serial));
  CHECK(house.revoked().revoked.empty());
  // A person may revoke one like any other.
  REQUIRE(house.enrolment->revoke("anna", "worker-01"));
  CHECK(house.revoked().revoked.size() == 1);
}

TEST_CASE("only tokens for ephemeral agents are without limits") {
  House house;
  JoinToken wanted;
  CHECK_FALSE(house.enrolment->create_token("anna", wanted, std::nullopt));
  wanted.uses = 0;
  CHECK_FALSE(house.enrolment->create_token("anna", wanted, std::chrono::hours(1)));
}
