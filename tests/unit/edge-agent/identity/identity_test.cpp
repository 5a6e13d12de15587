#include "edge-agent/identity/identity.hpp"

#include <filesystem>
#include <fstream>
#include <functional>
#include <vector>

#include "common/pki/authority.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;

namespace {

constexpr std::int64_t day = 86'400;
constexpr std::int64_t end = 1'900'000'000;

struct Joining {
  test::TemporaryFolder folder;
  std::string work = folder / "work";
  pki::Authority authority = *pki::Authority::make(*FleetName::parse("home"), {});
  pki::Key key = *key_for_join(work);

  [[nodiscard]] join::Joined answer(const std::string& name = "pi-1") const { return answer_for(key, name); }
  [[nodiscard]] join::Joined answer_for(const pki::Key& other, const std::string& name = "pi-1") const {
    const auto certificate = *authority.issue_agent(other.public_key(), *AgentName::parse(name), end);
    return {name, "home", certificate.pem(), authority.certificate().pem(), "mqtts://pi:8883", "https://pi:7002"};
  }
};

}  // namespace

TEST_CASE("an identity is kept, and found by the next start") {
  const Joining joining;
  CHECK_FALSE(load_identity(joining.work)->has_value());
  REQUIRE(keep_identity(joining.work, joining.key, joining.answer()));
  const auto identity = load_identity(joining.work);
  REQUIRE(identity);
  REQUIRE(*identity);
  CHECK((*identity)->name == "pi-1");
  CHECK((*identity)->broker == "mqtts://pi:8883");
  CHECK((*identity)->certificate_end == end);
  CHECK((*identity)->ca_sha256 == joining.authority.certificate().fingerprint());
  CHECK(std::filesystem::status(IdentityFiles(joining.work).folder).permissions() == std::filesystem::perms::owner_all);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(IdentityFiles(joining.work).folder)) {
    INFO(entry.path());
    CHECK((entry.status().permissions() & (std::filesystem::perms::group_all | std::filesystem::perms::others_all)) ==
          std::filesystem::perms::none);
  }
}

TEST_CASE("a certificate authority that was exchanged on the disk is noticed") {
  const Joining joining;
  REQUIRE(keep_identity(joining.work, joining.key, joining.answer()));
  std::ofstream(IdentityFiles(joining.work).ca())
      << pki::Authority::make(*FleetName::parse("home"), {})->certificate().pem();
  CHECK_FALSE(load_identity(joining.work));
}

TEST_CASE("the key of an unfinished join is used again") {
  const Joining joining;
  CHECK(key_for_join(joining.work)->public_key() == joining.key.public_key());
  std::ofstream(IdentityFiles(joining.work).key()) << "torn";
  CHECK(key_for_join(joining.work)->public_key() != joining.key.public_key());
}

TEST_CASE("an answer that is not for this machine is refused and not kept") {
  const Joining joining;
  CHECK_FALSE(keep_identity(joining.work, joining.key, joining.answer_for(*pki::Key::make())));
  auto other_ca = joining.answer();
  other_ca.ca = pki::Authority::make(*FleetName::parse("home"), {})->certificate().pem();
  CHECK_FALSE(keep_identity(joining.work, joining.key, other_ca));
  auto other_name = joining.answer();
  other_name.name = "pi-2";
  CHECK_FALSE(keep_identity(joining.work, joining.key, other_name));
  auto bad_name = joining.answer();
  bad_name.name = "../pi";
  CHECK_FALSE(keep_identity(joining.work, joining.key, bad_name));
  auto in_the_clear = joining.answer();
  in_the_clear.broker = "mqtt://pi:1883";
  CHECK_FALSE(keep_identity(joining.work, joining.key, in_the_clear));
  CHECK_FALSE(load_identity(joining.work)->has_value());
}

TEST_CASE("an identity that is damaged is named, with what to do") {
  const Joining joining;
  const IdentityFiles files(joining.work);
  for (const auto& path : {files.key(), files.certificate(), files.ca(), files.joined()}) {
    INFO(path);
    REQUIRE(keep_identity(joining.work, joining.key, joining.answer()));
    std::string kept;
    {
      std::ifstream file(path);
      kept.assign(std::istreambuf_iterator<char>(file), {});
    }
    for (const char* damage : {"", "rubbish", "{\"name\":1}"}) {
      std::ofstream(path) << damage;
      const auto identity = load_identity(joining.work);
      REQUIRE_FALSE(identity);
      CHECK(identity.error().message.find("join --again") != std::string::npos);
    }
    std::ofstream(path) << kept;
    CHECK(load_identity(joining.work)->has_value());
  }
}

TEST_CASE("a renewed certificate replaces the old one, if it is for the same key and name") {
  const Joining joining;
  REQUIRE(keep_identity(joining.work, joining.key, joining.answer()));
  auto renewed = joining.answer();
  renewed.certificate =
      joining.authority.issue_agent(joining.key.public_key(), *AgentName::parse("pi-1"), end + day)->pem();
  REQUIRE(keep_renewed(joining.work, renewed));
  CHECK((*load_identity(joining.work))->certificate_end == end + day);
  CHECK_FALSE(keep_renewed(joining.work, joining.answer_for(*pki::Key::make())));
  CHECK_FALSE(keep_renewed(joining.work, joining.answer("pi-2")));
  CHECK((*load_identity(joining.work))->certificate_end == end + day);
}

// ---- joining anew

namespace {

namespace fs = std::filesystem;

// An agent that has joined, and a complete identity that is to take its place.
struct Rejoining : Joining {
  Rejoining() {
    REQUIRE(keep_identity(work, key, answer()));
    const auto rejoin = rejoin_folder(work);
    REQUIRE(rejoin);
    const auto new_key = key_for_join(*rejoin);
    REQUIRE(keep_identity(*rejoin, *new_key, answer_for(*new_key, "pi-2")));
  }
  std::string fresh = work + "/rejoin/identity";
  std::string old = work + "/rejoin/old";
  std::string present = IdentityFiles(work).folder;

  [[nodiscard]] std::string name() const {
    const auto identity = load_identity(work);
    return identity && *identity ? (*identity)->name : "none";
  }
};

}  // namespace

TEST_CASE("an agent that joins anew keeps its identity until the new one is complete") {
  const Joining joining;
  REQUIRE(keep_identity(joining.work, joining.key, joining.answer()));
  const auto folder = rejoin_folder(joining.work);
  REQUIRE(folder);
  const auto new_key = key_for_join(*folder);
  CHECK(new_key->public_key() != joining.key.public_key());
  CHECK(key_for_join(*folder)->public_key() == new_key->public_key());  // after a kill
  CHECK_FALSE(*take_rejoined(joining.work));
  CHECK((*load_identity(joining.work))->name == "pi-1");
  REQUIRE(keep_identity(*folder, *new_key, joining.answer_for(*new_key, "pi-2")));
  CHECK(*take_rejoined(joining.work));
  CHECK((*load_identity(joining.work))->name == "pi-2");
  CHECK_FALSE(fs::exists(*folder));
  CHECK_FALSE(*take_rejoined(joining.work));
}

TEST_CASE("killed between any two steps of that, the next run ends with the new identity") {
  const std::vector<std::function<void(const Rejoining&)>> done{
      [](const Rejoining&) {},
      [](const Rejoining& one) { fs::rename(one.present, one.old); },
      [](const Rejoining& one) {
        fs::create_directories(one.old);
        std::ofstream(one.old + "/agent.key") << "of an earlier kill";
      },
      [](const Rejoining& one) {
        fs::rename(one.present, one.old);
        fs::rename(one.fresh, one.present);
      },
      [](const Rejoining& one) {
        fs::rename(one.present, one.old);
        fs::rename(one.fresh, one.present);
        fs::remove(one.old + "/agent.key");
      },
  };
  for (const auto& steps : done) {
    const Rejoining one;
    steps(one);
    REQUIRE(take_rejoined(one.work));
    CHECK(one.name() == "pi-2");
    CHECK_FALSE(fs::exists(one.work + "/rejoin"));
  }
}

TEST_CASE("a damaged identity does not keep a new one from taking its place") {
  const Rejoining one;
  std::ofstream(IdentityFiles(one.work).joined()) << "rubbish";
  CHECK(*take_rejoined(one.work));
  CHECK(one.name() == "pi-2");
}
