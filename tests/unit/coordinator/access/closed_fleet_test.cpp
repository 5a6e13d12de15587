#include "coordinator/access/closed_fleet.hpp"

#include <filesystem>
#include <fstream>

#include "coordinator/access/broker_files.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

constexpr std::int64_t day = 86'400;

struct House {
  test::TemporaryFolder folder;
  std::string data = folder / "data";
  std::string broker = folder / "broker";
  Setup setup{*FleetName::parse("home"),
              {"pi-1.local", "192.168.1.10"},
              "*:7001",
              "*:7002",
              broker,
              broker + "/run",
              "127.0.0.1"};

  House() {
    std::filesystem::create_directory(data);
    std::filesystem::create_directory(broker);
    REQUIRE(make_authority(data, setup));
    REQUIRE(write_setup(data, setup));
  }
  std::unique_ptr<ClosedFleet> open() const {
    auto fleet = ClosedFleet::open(data);
    INFO((fleet ? "" : fleet.error().message));
    REQUIRE(fleet);
    return std::move(*fleet);
  }
  std::string broker_file_text(const std::string& name) const { return *read_text(broker + "/current/" + name); }
};

}  // namespace

TEST_CASE("what setup has chosen is read as it was written") {
  const House house;
  CHECK(*read_setup(house.data) == house.setup);
  std::ofstream(setup_path(house.data)) << R"({"fleet":"home","names":[],"listen":"a","agents_listen":"b"})";
  CHECK(read_setup(house.data).error().message.find("setup.json") != std::string::npos);
}

TEST_CASE("all certificates are made, of the fleet's authority, and kept while they are good") {
  const House house;
  const auto authority = *load_authority(house.data);
  const std::int64_t now = 1'800'000'000;
  CHECK(make_certificates(house.data, house.setup, authority, now)->size() == 7);
  CHECK(make_certificates(house.data, house.setup, authority, now)->empty());
  const auto people = *pki::Certificate::from_pem(*read_text(certificate_files(house.data, "people").certificate));
  CHECK(people.verified_by(authority.certificate(), pki::Use::server));
  CHECK(people.not_after() <= now + 397 * day);
  CHECK(people.names().dns == std::vector<std::string>{"pi-1.local", "localhost"});
  const auto agents = *pki::Certificate::from_pem(*read_text(certificate_files(house.data, "agents").certificate));
  CHECK(agents.not_before() == pki::first_date);
  CHECK(agents.not_after() == pki::last_date);
  // Two thirds of 398 days later only the browsers' one is due.
  CHECK(*make_certificates(house.data, house.setup, authority, now + 270 * day) == std::vector<std::string>{"people"});
}

TEST_CASE("for tests certificates live shorter, never longer, and are renewed in their last third") {
  House house;
  const auto authority = *load_authority(house.data);
  std::int64_t now = 1'800'000'000;
  REQUIRE(make_certificates(house.data, house.setup, authority, now));
  house.setup.certificate_seconds = 60;
  const std::vector<std::string> all{"people", "agents", "broker", "coordinator", "watch", "canary"};
  CHECK(*make_certificates(house.data, house.setup, authority, now) == all);
  for (const auto& name : all) {
    const auto made = *pki::Certificate::from_pem(*read_text(certificate_files(house.data, name).certificate));
    CHECK(made.not_after() == now + 60);
  }
  CHECK(make_certificates(house.data, house.setup, authority, now + 39)->empty());
  CHECK(*make_certificates(house.data, house.setup, authority, now + 40) == all);
  house.setup.certificate_seconds = 0;
  CHECK(*make_certificates(house.data, house.setup, authority, now + 40) == all);
  // It is bounded where it is read.
  for (const std::int64_t wrong : {-1, 1, 29, 86'400, 40'000'000}) {
    house.setup.certificate_seconds = wrong;
    REQUIRE(write_setup(house.data, house.setup));
    const auto read = read_setup(house.data);
    CHECK((!read || read->certificate_seconds == 0));
  }
}

TEST_CASE("what is missing, damaged or for other names is made anew, with the key that is there") {
  House house;
  const auto authority = *load_authority(house.data);
  const std::int64_t now = 1'800'000'000;
  REQUIRE(make_certificates(house.data, house.setup, authority, now));
  const auto files = certificate_files(house.data, "broker");
  const auto key = *read_text(files.key);
  std::ofstream(files.certificate) << "torn";
  CHECK(*make_certificates(house.data, house.setup, authority, now) == std::vector<std::string>{"broker"});
  CHECK(*read_text(files.key) == key);
  house.setup.names.emplace_back("192.168.1.11");
  CHECK(*make_certificates(house.data, house.setup, authority, now) ==
        std::vector<std::string>{"people", "agents", "broker"});
  house.setup.names.emplace_back("bank.example.com");
  const auto outside = make_certificates(house.data, house.setup, authority, now);
  REQUIRE_FALSE(outside);
  CHECK(outside.error().kind == ErrorKind::unsupported);
}

TEST_CASE("keys are for their owner only") {
  const House house;
  const auto fleet = house.open();
  for (const char* name : {"people", "agents", "broker", "coordinator", "watch"}) {
    const auto mode = std::filesystem::status(certificate_files(house.data, name).key).permissions();
    CHECK((mode & std::filesystem::perms::mask) ==
          (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  }
}

TEST_CASE("the broker's files follow accesses and revocations, and only changes make a generation") {
  const House house;
  const auto fleet = house.open();
  const auto first = *fleet->publish();
  CHECK(*fleet->publish() == first);
  REQUIRE(fleet->accesses().create_access("setup", "phone", Role::submit, {}));
  const auto second = *fleet->publish();
  CHECK(second != first);
  CHECK(house.broker_file_text(broker_file::passwords).starts_with("phone:$7$"));
  REQUIRE(fleet->accesses().revoke_access("setup", "phone"));
  CHECK(*fleet->publish() != second);
  CHECK(house.broker_file_text(broker_file::passwords).find("phone:") == std::string::npos);

  const auto token = fleet->enrolment().create_token("setup", {}, std::chrono::hours(1));
  const auto key = *pki::Key::make();
  const auto agent = fleet->enrolment().join(token->secret, key.public_key(), {"pi-7", true, ""});
  REQUIRE(agent);
  const auto joined = *fleet->publish();
  REQUIRE(fleet->enrolment().revoke("setup", "pi-7"));
  CHECK(*fleet->publish() != joined);
  const auto list = *pki::read_crl(house.broker_file_text(broker_file::revoked), fleet->authority().certificate());
  CHECK(list.contains(agent->serial));
}

TEST_CASE("a restart changes nothing of the broker's files") {
  const House house;
  std::string before;
  {
    const auto fleet = house.open();
    REQUIRE(fleet->accesses().create_access("setup", "phone", Role::submit, {}));
    before = *fleet->publish();
  }
  const auto fleet = house.open();
  CHECK(*fleet->publish() == before);
}

TEST_CASE("the broker knows what it is tried with: an access without rights, and a certificate that is revoked") {
  const House house;
  const auto fleet = house.open();
  const auto access = *canary_access(house.data);
  CHECK(access.key == canary_access(house.data)->key);
  CHECK(house.broker_file_text(broker_file::passwords).find("canary:" + access.password) != std::string::npos);
  CHECK(house.broker_file_text(broker_file::people_acl).find("canary") == std::string::npos);
  const auto revoked = *pki::Certificate::from_pem(*read_text(certificate_files(house.data, "revoked").certificate));
  const auto list = *pki::read_crl(house.broker_file_text(broker_file::revoked), fleet->authority().certificate());
  REQUIRE(list.revoked.size() == 1);
  CHECK(list.revoked.front().serial == revoked.serial());
  REQUIRE(fleet->maintain());
  CHECK(pki::read_crl(house.broker_file_text(broker_file::revoked), fleet->authority().certificate())->number ==
        list.number);
  // What a killed process has left does not stay.
  std::ofstream(brief_certificate(house.data, "x") + ".key") << "key";
  REQUIRE(ClosedFleet::open(house.data));
  CHECK_FALSE(std::filesystem::exists(brief_certificate(house.data, "x") + ".key"));
  // A damaged one is made anew; the broker gets it.
  std::ofstream(house.data + "/tls/canary.access") << "x\ny\n";
  REQUIRE(fleet->publish());
  CHECK(canary_access(house.data)->key != access.key);
}
