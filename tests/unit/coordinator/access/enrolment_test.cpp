#include "coordinator/access/enrolment.hpp"

#include <algorithm>
#include <set>

#include "common/system/clock.hpp"
#include "coordinator/access/registry.hpp"
#include "coordinator/access/transaction.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

constexpr std::int64_t day = 86'400;

struct House {
  std::int64_t clock = 1'800'000'000;
  Time mono{};
  test::TemporaryFolder folder;
  pki::Authority authority = *pki::Authority::make(*FleetName::parse("home"), {"pi-1.local"});
  std::unique_ptr<AccessDatabase> database = *AccessDatabase::open(folder.path());
  std::unique_ptr<Enrolment> enrolment = open();

  std::unique_ptr<Enrolment> open() {
    auto opened = *Enrolment::open(*database, authority, [this] { return clock; });
    REQUIRE(opened->look_at_clock(mono));
    return opened;
  }
  void reopen() {
    enrolment.reset();
    database = *AccessDatabase::open(folder.path());
    enrolment = open();
  }
  // The coordinator runs meanwhile. Without this, the clock jumps.
  void pass(std::int64_t seconds) {
    clock += seconds;
    mono += std::chrono::seconds(seconds);
    REQUIRE(enrolment->look_at_clock(mono));
  }
  std::string ephemeral_token(const std::string& name = "") {
    JoinToken wanted;
    wanted.name = name;
    wanted.uses = 0;
    wanted.ephemeral = true;
    return enrolment->create_token("anna", wanted, std::nullopt)->secret;
  }
  // As it is after a restore of older data: the machine has the certificate, the store knows nothing of it.
  pki::Certificate foreign(const std::string& name, const pki::Key& key, std::int64_t not_after) {
    return *authority.issue_agent(key.public_key(), *AgentName::parse(name), not_after);
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
  house.pass(agent->not_after + 6 * day - house.clock);
  CHECK(house.revoked().contains(agent->serial));
  house.pass(2 * day);
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
  // With another key, or revoked, it is nobody's.
  house.clock += 250 * day;
  REQUIRE(house.enrolment->renew("pi-7", pki::Key::make()->public_key()));
  CHECK_FALSE(house.enrolment->recognise(had, "192.168.1.7"));
  REQUIRE(house.enrolment->revoke("anna", "pi-7"));
  CHECK_FALSE(house.enrolment->recognise(had, "192.168.1.7"));
  CHECK(house.revoked().contains(lost->serial));
}

TEST_CASE("whoever asks for a renewal without end gets one in the last third of each life, and fills no list") {
  House house;
  const auto key = *pki::Key::make();
  auto present = *house.join(house.token(), "pi-7", key);
  int renewals = 0;
  for (int i = 0; i < 2 * 365 * 4; ++i, house.pass(6 * 3600)) {
    const auto other = house.enrolment->renew("pi-7", pki::Key::make()->public_key());
    if (other) present = *other;
    const auto agent = house.enrolment->renew("pi-7", pki::Key::make()->public_key());
    REQUIRE_FALSE(agent);
    CHECK(agent.error().kind == ErrorKind::busy);
    if (other) ++renewals;
  }
  CHECK(renewals == 2);
  CHECK(house.revoked().revoked.empty());
  REQUIRE(house.enrolment->revoke("anna", "pi-7"));
  CHECK(house.revoked().revoked.size() <= 3);
}

TEST_CASE("what machines do removes no entry of a person from the audit") {
  House house;
  REQUIRE(house.database->audit({wall_now(), "anna", "access.create", "phone"}));
  REQUIRE(house.database->read("many", [](SQLite::Database& db) -> Status {
    db.exec("INSERT INTO audit_of_machines (id, at, who, what, about) VALUES (500000, 1, 'pi-1', 'agent.renew', '')");
    return success();
  }));
  REQUIRE(house.join(house.token(), "pi-7"));
  const auto entries = *house.database->audited(100);
  const auto has = [&](const std::string& what) {
    return std::ranges::any_of(entries, [&](const AuditEntry& one) { return one.what == what; });
  };
  CHECK(has("access.create"));
  CHECK(has("agent.join"));
  CHECK(has("join-token.create"));
}

TEST_CASE("a full list of revoked certificates refuses the next name only: what is in it counts, also after a start") {
  House house;
  REQUIRE(house.join(house.token(), "pi-7"));
  const auto fill = [&](std::size_t count) {
    REQUIRE(house.database->read("filling", [&](SQLite::Database& db) -> Status {
      db.exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < " + std::to_string(count) +
              ") INSERT OR IGNORE INTO revoked (serial, at, not_after) SELECT printf('%x', i), 1, 1900000000 FROM n");
      return success();
    }));
  };
  fill(pki::most_revoked);
  const auto full = house.enrolment->revoke("anna", "pi-7");
  REQUIRE_FALSE(full);
  CHECK(full.error().message.find("full") != std::string::npos);
  CHECK(house.enrolment->find("pi-7"));
  fill(pki::most_revoked + 10);  // as several that were united
  house.reopen();
  const auto list = house.revoked();
  CHECK(list.revoked.size() == pki::most_revoked);
  CHECK(house.authority.crl(list.number, list.revoked));
  house.pass(1'900'000'000 + 8 * day - house.clock);
  CHECK(house.enrolment->revoke("anna", "pi-7"));
}

TEST_CASE("nothing that ends is issued while the clock is wrong") {
  House house;
  const auto token = house.token("", 10, std::chrono::hours(24 * 100));
  house.clock = 1000;
  const auto early = house.join(token, "pi-7");
  REQUIRE_FALSE(early);
  CHECK(early.error().kind == ErrorKind::unavailable);
  house.clock = 1'800'000'000;
  house.pass(50 * day);
  house.reopen();
  house.clock -= 50 * day;
  CHECK(house.join(token, "pi-7").error().message.find("clock") != std::string::npos);
}

TEST_CASE("a clock that jumps for a while removes nothing, and blocks nobody afterwards") {
  House house;
  constexpr std::int64_t years = 14 * 365 * day;
  const auto key = *pki::Key::make();
  const auto first = *house.join(house.token(), "pi-7", key);
  house.pass(250 * day);
  const auto second = *house.enrolment->renew("pi-7", key.public_key());
  const auto gone = *house.join(house.token(), "pi-8");
  REQUIRE(house.enrolment->revoke("anna", "pi-8"));
  const auto list = house.revoked();
  const auto token = house.token("", 10, std::chrono::hours(24 * 30));
  house.clock += years;
  house.pass(3600);
  REQUIRE(house.join(house.token(), "pi-9"));
  CHECK(house.revoked().revoked == list.revoked);
  CHECK(house.enrolment->settled().unix_ms / 1000 == house.clock - years);
  house.reopen();
  REQUIRE(house.enrolment->look_at_clock(house.mono));
  REQUIRE(house.join(house.token(), "pi-10"));
  house.clock -= years;
  house.pass(60);
  CHECK(house.join(token, "pi-11"));
  REQUIRE(house.enrolment->revoke("anna", "pi-7"));
  CHECK(house.revoked().contains(first.serial));
  CHECK(house.revoked().contains(second.serial));
  // The certificate that was issued meanwhile ends in fourteen years; it is renewed as if that were wrong.
  const auto wrong = *house.enrolment->find("pi-9");
  const auto other = *pki::Key::make();
  CHECK(house.enrolment->renew("pi-9", other.public_key())->not_after == house.clock + 365 * day);
  REQUIRE(house.enrolment->revoke("anna", "pi-9"));
  CHECK(house.revoked().contains(wrong.serial));
  // Also if the store has lost what it had issued.
  const auto lone = *house.join(token, "pi-12");
  REQUIRE(house.database->read("losing", [](SQLite::Database& db) -> Status {
    db.exec("DELETE FROM issued");
    return success();
  }));
  REQUIRE(house.enrolment->revoke("anna", "pi-12"));
  CHECK(house.revoked().contains(lone.serial));
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
    house.pass(40 * day);
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

TEST_CASE("an ephemeral agent is renewed for a day; one that replaces it ends its certificates and its session") {
  House house;
  const auto token = house.ephemeral_token("worker-01");
  const auto key = *pki::Key::make();
  const auto first = house.join(token, "whatever", key);
  REQUIRE(first);
  CHECK(first->name == "worker-01");
  house.pass(day * 3 / 4);
  const auto renewed = house.enrolment->renew("worker-01", key.public_key());
  CHECK(renewed->not_after == house.clock + day);
  CHECK_FALSE(house.enrolment->has_session_to_end("worker-01"));
  const auto second = house.join(token, "whatever");
  REQUIRE(second);
  CHECK(second->name == "worker-01");
  CHECK_FALSE(house.enrolment->owner_of(first->serial));
  CHECK(house.revoked().contains(first->serial));
  CHECK(house.revoked().contains(renewed->serial));
  CHECK_FALSE(house.revoked().contains(second->serial));
  house.reopen();
  CHECK(house.enrolment->has_session_to_end("worker-01"));
  REQUIRE(house.enrolment->session_ended("worker-01"));
  house.reopen();
  CHECK(house.enrolment->sessions_to_end().empty());
  house.pass(9 * day);
  CHECK(house.revoked().revoked.empty());
}

TEST_CASE("a revoked key does not join again, neither with its token nor by a person's word") {
  House house;
  const auto token = house.ephemeral_token();
  const auto key = *pki::Key::make();
  const auto agent = house.join(token, "worker", key);
  REQUIRE(house.enrolment->revoke("anna", "worker"));
  house.reopen();
  CHECK(house.revoked().contains(agent->serial));
  CHECK(house.join(token, "worker", key).error().kind == ErrorKind::forbidden);
  CHECK(house.join(token, "other", key).error().kind == ErrorKind::forbidden);
  CHECK(house.enrolment->accept("anna", key.public_key(), {"worker", true, ""}).error().kind == ErrorKind::forbidden);
  // One that was forgotten can be revoked as well.
  const auto next = *pki::Key::make();
  const auto again = house.join(token, "worker", next);
  REQUIRE(again);
  REQUIRE(house.enrolment->forget("worker"));
  REQUIRE(house.enrolment->revoke("anna", "worker"));
  CHECK(house.revoked().contains(again->serial));
  CHECK_FALSE(house.join(token, "worker", next));
}

TEST_CASE("a forgotten agent's name is given to another machine only when its certificate has ended, or is revoked") {
  House house;
  const auto any = house.ephemeral_token();
  const auto key = *pki::Key::make();
  const auto first = *house.join(any, "worker", key, false, "machine");
  REQUIRE(house.enrolment->forget("worker"));
  const auto list = house.revoked();
  // The same machine gets what it had, without an end, and nothing is added to the list.
  for (int i = 0; i < 300; ++i) {
    CHECK(house.join(any, "worker", key, false, "machine")->serial == first.serial);
    REQUIRE(house.enrolment->forget("worker"));
  }
  // Another one has a name of its own.
  CHECK(house.join(any, "worker", *pki::Key::make(), false, "other")->name != "worker");
  CHECK(house.revoked().revoked == list.revoked);
  // A word for the name: the certificate is revoked.
  const auto named = house.join(any, "worker");
  REQUIRE(named);
  CHECK(named->name == "worker");
  CHECK(house.revoked().contains(first.serial));
  CHECK(house.enrolment->has_session_to_end("worker"));
  // After the end it is not needed.
  REQUIRE(house.enrolment->forget("worker"));
  house.pass(day + 1);
  CHECK(house.join(any, "worker", *pki::Key::make(), false)->name == "worker");
  CHECK(house.revoked().revoked.size() == 1);
}

TEST_CASE("a token fills the list of revoked certificates to its bound only, and persons go on") {
  House house;
  const auto token = house.ephemeral_token("worker");
  const auto fill = [&] {
    int joined = 0;
    for (int i = 0; i < 300; ++i) {
      const auto agent = house.join(token, "whatever");
      if (!agent) CHECK(agent.error().kind == ErrorKind::busy);
      joined += agent ? 1 : 0;
      if (i % 2 == 0) (void)house.enrolment->forget("worker");
    }
    return joined;
  };
  CHECK(fill() <= Enrolment::most_listed_by_token + 1);
  CHECK(house.revoked().revoked.size() <= Enrolment::most_listed_by_token);
  REQUIRE(house.join(house.token(), "pi-7"));
  CHECK(house.enrolment->revoke("anna", "pi-7"));
  house.pass(9 * day);
  CHECK(house.join(token, "whatever"));
}

TEST_CASE("who is readmitted keeps the certificate that it has, and those of its key; the other machine's end") {
  House house;
  const auto key = *pki::Key::make();
  const auto other = *house.join(house.token(), "pi-7");
  const auto own = house.foreign("pi-7", key, house.clock + 300 * day);
  const auto older = house.foreign("pi-7", key, house.clock + 200 * day);
  CHECK_FALSE(house.enrolment->recognise(own, "192.168.1.7"));
  // A restore merges what several sources have issued.
  REQUIRE(house.database->read("merging", [&](SQLite::Database& db) -> Status {
    for (const auto* one : {&own, &older}) {
      SQLite::Statement row(db, "INSERT INTO issued (serial, name, not_after, key_sha256) VALUES (?, 'pi-7', ?, ?)");
      row.bind(1, one->serial());
      row.bind(2, one->not_after());
      row.bind(3, key.public_key().sha256());
      row.exec();
    }
    return success();
  }));
  REQUIRE(house.enrolment->readmit("anna", "pi-7", ""));
  CHECK(house.enrolment->owner_of(own.serial()) == "pi-7");
  const auto list = house.revoked();
  CHECK_FALSE(list.contains(own.serial()));
  CHECK_FALSE(list.contains(older.serial()));
  CHECK(list.contains(other.serial));
  CHECK(house.enrolment->has_session_to_end("pi-7"));
  CHECK(house.enrolment->recognise(older, "192.168.1.7") == "pi-7");
}

TEST_CASE("one machine does not fill the list of unknown agents; a serial that is not listed can be revoked") {
  House house;
  for (int i = 0; i < 50; ++i) {
    CHECK_FALSE(house.enrolment->recognise(house.foreign("pi-7", *pki::Key::make(), house.clock + 300 * day + i), ""));
  }
  const auto waiting = house.enrolment->unknown();
  CHECK(waiting.size() == Enrolment::most_unknown_of_name);
  for (const auto& one : waiting) CHECK(one.not_after >= house.clock + 300 * day + 48);  // the newest ones
  const auto real = house.foreign("pi-8", *pki::Key::make(), house.clock + 300 * day);
  CHECK_FALSE(house.enrolment->recognise(real, "192.168.1.8"));
  // Its name is its own until a person decides.
  CHECK(house.join(house.token(), "pi-8").error().kind == ErrorKind::conflict);
  CHECK(house.join(house.token(), "pi-8", *pki::Key::make(), false)->name != "pi-8");
  CHECK(house.revoked().revoked.empty());
  CHECK(house.enrolment->readmit("anna", "pi-8", ""));
  // A certificate from before a renewal with another key is not unknown.
  const auto key = *pki::Key::make();
  const auto first = *house.join(house.token(), "pi-9", key);
  house.clock += 250 * day;
  REQUIRE(house.enrolment->renew("pi-9", pki::Key::make()->public_key()));
  CHECK_FALSE(house.enrolment->recognise(*pki::Certificate::from_pem(first.certificate), "192.168.1.9"));
  CHECK(house.enrolment->unknown().size() == Enrolment::most_unknown_of_name);
  // By serial: another one of a name that is enrolled, and one of a name that is not.
  REQUIRE(house.enrolment->revoke("anna", "pi-9", first.serial));
  CHECK(house.enrolment->find("pi-9"));
  CHECK(house.revoked().contains(first.serial));
  CHECK(house.enrolment->has_session_to_end("pi-9"));
  REQUIRE(house.enrolment->revoke("anna", "pi-10", "ab12"));
  CHECK(house.revoked().contains("ab12"));
  CHECK(house.enrolment->revoke("anna", "pi-10").error().kind == ErrorKind::not_found);
  CHECK(house.enrolment->revoke("anna", "pi-10", "no serial").error().kind == ErrorKind::invalid);
  CHECK(house.enrolment->revoke("anna", "pi-10", real.serial()).error().kind == ErrorKind::conflict);
  // Its present one: the whole agent.
  REQUIRE(house.enrolment->revoke("anna", "pi-8", real.serial()));
  CHECK_FALSE(house.enrolment->find("pi-8"));
}

TEST_CASE("only tokens for ephemeral agents are without limits") {
  House house;
  JoinToken wanted;
  CHECK_FALSE(house.enrolment->create_token("anna", wanted, std::nullopt));
  wanted.uses = 0;
  CHECK_FALSE(house.enrolment->create_token("anna", wanted, std::chrono::hours(1)));
}
