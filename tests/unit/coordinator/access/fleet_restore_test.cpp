#include "coordinator/access/fleet_restore.hpp"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "common/files/private_file.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/access/revoked.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
namespace fs = std::filesystem;

namespace {

using Names = std::vector<std::string>;

// A fleet in a folder, as setup makes it.
struct House {
  test::TemporaryFolder folder;
  std::string data = folder / "data";
  std::unique_ptr<ClosedFleet> fleet;

  House() {
    const Setup setup{*FleetName::parse("home"), {"localhost"},        "*:7001", "*:7002",
                      data + "/broker",          data + "/broker/run", ""};
    fs::create_directories(data + "/broker");
    REQUIRE(make_authority(data, setup));
    REQUIRE(write_setup(data, setup));
    open();
  }
  void open() { fleet = std::move(*ClosedFleet::open(data)); }
  void close() { fleet.reset(); }
  std::string access(const std::string& name) {
    return fleet->accesses().create_access("setup", name, Role::submit, {}, true)->key;
  }
  // With this key, or a new one.
  EnrolledAgent join(const std::string& name, const pki::Key& key = *pki::Key::make()) {
    const auto token = fleet->enrolment().create_token("anna", {}, std::chrono::hours(1));
    return *fleet->enrolment().join(token->secret, key.public_key(), {name, true, ""});
  }
  void revoke(const std::string& name) {
    REQUIRE(fleet->enrolment().revoke("anna", name));
    REQUIRE(fleet->publish());
  }
  FleetCopy copy() const { return *copy_fleet(data); }
  FleetRestoreReport restore(const FleetCopy& copy) {
    close();
    const auto report = prepare_fleet(copy, data);
    REQUIRE(report);
    CHECK(restore_unfinished(data));
    REQUIRE(finish_fleet(data));
    CHECK_FALSE(restore_unfinished(data));
    open();
    return *report;
  }
  bool knows(const EnrolledAgent& agent) const { return fleet->enrolment().owner_of(agent.serial).has_value(); }
  bool listed(const std::string& serial) const {
    const auto list = pki::read_crl(*fleet->crl(), fleet->authority().certificate());
    return list->contains(serial);
  }
  std::int64_t number() const { return fleet->enrolment().revoked()->number; }
};

pki::Certificate certificate_of(const EnrolledAgent& agent) { return *pki::Certificate::from_pem(agent.certificate); }

}  // namespace

TEST_CASE("a copy of a fleet is the same after it was written and read, and never read from a part of it") {
  House house;
  house.access("phone");
  const FleetCopy copy = house.copy();
  const std::string text = encode(copy);
  const auto read = decode_fleet_copy(text);
  REQUIRE(read);
  CHECK(read->accesses == copy.accesses);
  CHECK(read->ca_key == copy.ca_key);
  CHECK(encode(*read) == text);
  for (std::size_t size = 0; size < text.size(); size += 97) CHECK_FALSE(decode_fleet_copy(text.substr(0, size)));
  CHECK_FALSE(decode_fleet_copy(text + "x"));
}

TEST_CASE("who was revoked after the copy does not come back with it, and everybody else does") {
  House house;
  const auto pi_1 = house.join("pi-1"), pi_2 = house.join("pi-2");
  const auto phone = house.access("phone"), desk = house.access("desk");
  const FleetCopy copy = house.copy();
  house.revoke("pi-1");
  REQUIRE(house.fleet->accesses().revoke_access("anna", "phone"));
  const auto number = house.number();

  const auto report = house.restore(copy);
  CHECK(report.agents_removed == Names{"pi-1"});
  CHECK(report.accesses_removed == Names{"phone"});
  CHECK_FALSE(house.knows(pi_1));
  CHECK(house.knows(pi_2));
  CHECK(house.listed(pi_1.serial));
  CHECK_FALSE(house.fleet->accesses().find(phone, wall_now()));
  CHECK(house.fleet->accesses().find(desk, wall_now()));
  CHECK(house.number() > number);
  CHECK(house.number() == report.crl_number);
  // Their names are free again.
  house.join("pi-1");
  house.access("phone");
}

TEST_CASE("an access for the broker does not come back without its owner") {
  House house;
  house.access("anna");
  house.access("desk");
  const auto annas = house.fleet->accesses().create_mqtt_access("anna")->key;
  const auto desks = house.fleet->accesses().create_mqtt_access("desk")->key;
  const FleetCopy copy = house.copy();
  REQUIRE(house.fleet->accesses().revoke_access("setup", "anna"));
  const auto report = house.restore(copy);
  CHECK(report.accesses_removed.size() == 2);
  CHECK_FALSE(house.fleet->accesses().find(annas, wall_now()));
  CHECK(house.fleet->accesses().find(desks, wall_now())->owner == "desk");
  CHECK_FALSE(house.fleet->accesses().create_access("setup", "anna", Role::submit, {}));  // it was used before
}

TEST_CASE("the list in the broker's folder is enough to know who was revoked, agents and keys") {
  House house;
  const auto pi_1 = house.join("pi-1");
  const auto phone = house.access("phone");
  const FleetCopy copy = house.copy();
  REQUIRE(house.fleet->accesses().revoke_access("anna", "phone"));
  house.revoke("pi-1");
  const auto number = house.number();
  house.close();
  for (const char* lost : {"/access.db", "/setup.json"}) fs::remove(house.data + lost);
  fs::remove_all(house.data + "/ca");

  const auto report = house.restore(copy);
  CHECK(report.sources == Names{house.data + "/broker/current/crl.pem"});
  CHECK_FALSE(house.knows(pi_1));
  CHECK(house.listed(pi_1.serial));
  CHECK_FALSE(house.fleet->accesses().find(phone, wall_now()));
  CHECK(house.number() > number);
}

TEST_CASE("no join token survives a restore: it may have been used or revoked since the copy") {
  House house;
  const auto token = house.fleet->enrolment().create_token("anna", {}, std::chrono::hours(1));
  const FleetCopy copy = house.copy();
  const pki::Key key = *pki::Key::make();
  house.restore(copy);
  CHECK(house.fleet->enrolment().tokens()->empty());
  CHECK_FALSE(house.fleet->enrolment().join(token->secret, key.public_key(), {"pi-1", true, ""}));
}

TEST_CASE("a list that somebody else has signed does not count") {
  House house, other;
  const auto pi_1 = house.join("pi-1");
  const FleetCopy copy = house.copy();
  house.close();
  REQUIRE(write_private_file(house.data + "/broker/current/crl.pem",
                             *other.fleet->authority().crl(900, {{pi_1.serial, 1'700'000'000}})));
  const auto report = house.restore(copy);
  CHECK(house.knows(pi_1));
  CHECK(report.crl_number < 900);
  CHECK(report.notes.size() == 1);
}

TEST_CASE("a damaged present database does not stop a restore, and is named") {
  House house;
  house.join("pi-1");
  const FleetCopy copy = house.copy();
  house.close();
  REQUIRE(write_private_file(house.data + "/access.db", std::string(5000, 'x')));
  const auto report = house.restore(copy);
  REQUIRE(report.notes.size() == 1);
  CHECK(report.notes[0].find("access.db cannot be used") != std::string::npos);
}

TEST_CASE("a key that was replaced after the copy stays replaced by the new one, or ends") {
  House house;
  const auto old_key = house.access("phone");
  const FleetCopy copy = house.copy();
  const auto new_key = house.fleet->accesses().rotate_access("anna", "phone", Duration{0})->key;
  REQUIRE(house.fleet->publish());
  SECTION("the new one is known") {
    CHECK(house.restore(copy).accesses_removed.empty());
    CHECK(house.fleet->accesses().find(new_key, wall_now()));
  }
  SECTION("only the list is known") {
    house.close();
    fs::remove(house.data + "/access.db");
    CHECK(house.restore(copy).accesses_removed == Names{"phone"});
  }
  CHECK_FALSE(house.fleet->accesses().find(old_key, wall_now()));
}

TEST_CASE("an agent that was enrolled after the copy waits for a word, which may be yes or no") {
  House house;
  const FleetCopy copy = house.copy();
  const auto pi_1 = house.join("pi-1");
  CHECK(house.restore(copy).waiting == Names{"pi-1"});
  CHECK_FALSE(house.knows(pi_1));
  auto& enrolment = house.fleet->enrolment();
  SECTION("yes") {
    REQUIRE(enrolment.readmit("anna", "pi-1", ""));
    CHECK(house.knows(pi_1));
    CHECK(enrolment.unknown().empty());
    CHECK_FALSE(house.listed(pi_1.serial));
    house.revoke("pi-1");
    CHECK(house.listed(pi_1.serial));
  }
  SECTION("no") {
    house.revoke("pi-1");
    CHECK(house.listed(pi_1.serial));
    CHECK(enrolment.unknown().empty());
    CHECK_FALSE(enrolment.recognise(certificate_of(pi_1), "10.0.0.1"));
    CHECK(enrolment.unknown().empty());
  }
}

TEST_CASE("an agent of a lost store is noted when it shows its certificate, once") {
  House house;
  const FleetCopy copy = house.copy();
  const auto pi_1 = house.join("pi-1");
  house.close();
  fs::remove(house.data + "/access.db");
  CHECK(house.restore(copy).waiting.empty());
  auto& enrolment = house.fleet->enrolment();
  for (int round = 0; round < 3; ++round) CHECK_FALSE(enrolment.recognise(certificate_of(pi_1), "10.0.0.1"));
  REQUIRE(enrolment.unknown().size() == 1);
  CHECK(enrolment.unknown()[0].address == "10.0.0.1");
  house.close();
  house.open();
  CHECK(house.fleet->enrolment().unknown().size() == 1);
  REQUIRE(house.fleet->enrolment().readmit("anna", "pi-1", ""));
  CHECK(house.knows(pi_1));
}

TEST_CASE("an agent whose certificate was renewed after the copy goes on without a word") {
  House house;
  const auto key = *pki::Key::make();
  const auto before = house.join("pi-1", key);
  const FleetCopy copy = house.copy();
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // certificates count in seconds
  const auto renewed = *house.fleet->enrolment().renew("pi-1", key.public_key());
  SECTION("the store of that time is there") {
    CHECK(house.restore(copy).waiting.empty());
    CHECK(house.knows(renewed));
  }
  SECTION("it is lost") {
    house.close();
    fs::remove(house.data + "/access.db");
    house.restore(copy);
    CHECK(house.fleet->enrolment().recognise(certificate_of(renewed), "10.0.0.1") == "pi-1");
    CHECK(house.knows(renewed));
  }
  house.revoke("pi-1");
  CHECK(house.listed(before.serial));
  CHECK(house.listed(renewed.serial));
}

TEST_CASE("the certificate of a machine that was replaced is not taken for a renewed one") {
  House house;
  house.join("pi-1");
  const FleetCopy copy = house.copy();
  JoinToken wanted;
  wanted.name = "pi-1";
  const auto token = house.fleet->enrolment().create_token("anna", wanted, std::chrono::hours(1));
  const auto second = *house.fleet->enrolment().join(token->secret, pki::Key::make()->public_key(), {"pi-1", true, ""});
  house.close();
  fs::remove(house.data + "/access.db");
  house.restore(copy);
  CHECK_FALSE(house.fleet->enrolment().recognise(certificate_of(second), "10.0.0.1"));
  CHECK(house.fleet->enrolment().unknown().size() == 1);
}

TEST_CASE("a copy is restored to another folder, and the broker's files are below that one") {
  House house;
  const auto pi_1 = house.join("pi-1");
  const FleetCopy copy = house.copy();
  const std::string data = house.folder / "elsewhere";
  fs::create_directories(data + "/broker");
  const auto report = prepare_fleet(copy, data);
  REQUIRE(report);
  CHECK(report->sources == Names{house.data + "/broker/current/crl.pem"});
  REQUIRE(finish_fleet(data));
  const auto fleet = *ClosedFleet::open(data);
  CHECK(fleet->setup().broker_folder == data + "/broker");
  CHECK(fleet->enrolment().owner_of(pi_1.serial) == "pi-1");
  CHECK(fleet->authority().certificate().fingerprint() == house.fleet->authority().certificate().fingerprint());
}

TEST_CASE("a restore that is interrupted at any time and done again loses no revocation") {
  House house;
  const auto pi_1 = house.join("pi-1");
  const FleetCopy copy = house.copy();
  house.revoke("pi-1");
  house.close();
  fs::remove_all(house.data + "/broker/current");  // so that only the databases know it
  REQUIRE(prepare_fleet(copy, house.data));
  // As far as the new database has its place, and no further.
  fs::copy_file(house.data + "/restoring/access.db", house.data + "/access.db", fs::copy_options::overwrite_existing);
  SECTION("as it is") {}
  SECTION("while the second one takes the place of the first") {
    fs::rename(house.data + "/restoring", house.data + "/restoring.old");
    fs::remove(house.data + "/access.db");
    CHECK(restore_unfinished(house.data));
  }
  SECTION("the new database is lost again") { fs::remove(house.data + "/access.db"); }
  house.restore(copy);
  CHECK_FALSE(house.knows(pi_1));
  CHECK(house.listed(pi_1.serial));
}

TEST_CASE("what a restore replaces is itself a fleet to restore") {
  House house;
  const auto phone = house.access("phone");
  const FleetCopy copy = house.copy();
  const auto desk = house.access("desk");
  house.close();
  const std::string kept = house.data + "/replaced-1";
  fs::create_directories(kept);
  REQUIRE(keep_replaced_fleet(house.data, kept));
  house.restore(copy);
  CHECK_FALSE(house.fleet->accesses().find(desk, wall_now()));
  const auto replaced = copy_fleet(kept);
  REQUIRE(replaced);
  house.restore(*replaced);
  CHECK(house.fleet->accesses().find(desk, wall_now()));
  CHECK(house.fleet->accesses().find(phone, wall_now()));
}

TEST_CASE("data that was copied back by hand learns from the broker's list who was revoked, at its start") {
  House house;
  const auto pi_1 = house.join("pi-1"), pi_2 = house.join("pi-2");
  const auto phone = house.access("phone"), desk = house.access("desk");
  const std::string old = *read_text(house.data + "/access.db");
  house.revoke("pi-1");
  REQUIRE(house.fleet->accesses().revoke_access("anna", "phone"));
  REQUIRE(house.fleet->publish());
  const auto number = house.number();
  for (int round = 0; round < 2; ++round) {
    house.close();
    REQUIRE(write_private_file(house.data + "/access.db", old));
    house.open();
    CHECK_FALSE(house.knows(pi_1));
    CHECK(house.knows(pi_2));
    CHECK(house.listed(pi_1.serial));
    CHECK_FALSE(house.fleet->accesses().find(phone, wall_now()));
    CHECK(house.fleet->accesses().find(desk, wall_now()));
    CHECK(house.number() > number + round);
  }
  house.join("pi-1");
}

TEST_CASE("a list of a lower or the same number, or of another authority, changes nothing") {
  House house, other;
  const auto pi_1 = house.join("pi-1");
  const auto number = house.number();
  const auto& authority = house.fleet->authority();
  CHECK(house.fleet->unite(*authority.crl(number, {{pi_1.serial, 1'700'000'000}}))->empty());
  CHECK_FALSE(house.fleet->unite(*other.fleet->authority().crl(number + 9, {{pi_1.serial, 1'700'000'000}})));
  CHECK_FALSE(house.fleet->unite("rubbish"));
  CHECK(house.number() == number);
  CHECK(house.knows(pi_1));
  CHECK(*house.fleet->unite(*authority.crl(number + 1, {{pi_1.serial, 1'700'000'000}})) == Names{"pi-1"});
  CHECK_FALSE(house.knows(pi_1));
  CHECK(house.number() == number + 2);
}
