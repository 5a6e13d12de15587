#include "edge-agent/identity/identity.hpp"

#include <filesystem>
#include <fstream>

#include "common/pki/authority.hpp"
#include "edge-agent/identity/renewal.hpp"
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
  for (const auto& path : {files.key(), files.certificate(), files.joined()}) {
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

TEST_CASE("what is forgotten is gone, and the next join has a new key") {
  const Joining joining;
  REQUIRE(keep_identity(joining.work, joining.key, joining.answer()));
  REQUIRE(forget_identity(joining.work));
  CHECK_FALSE(load_identity(joining.work)->has_value());
  CHECK(key_for_join(joining.work)->public_key() != joining.key.public_key());
}

// Each day one look, as the agent has it each hour.
TEST_CASE("in ten simulated years a certificate is renewed each eight months, and never ends") {
  std::int64_t now = 1'800'000'000;
  std::int64_t ends = now + certificate_life;
  int renewals = 0;
  for (int days = 0; days < 3650; ++days, now += day) {
    REQUIRE(now < ends);
    if (!renewal_due(ends, now)) continue;
    CHECK_FALSE(ends_soon(ends, now));
    ends = now + certificate_life;
    ++renewals;
  }
  CHECK(renewals == 14);
}

TEST_CASE("a clock in 1970 renews nothing, and one that is ahead renews early") {
  CHECK_FALSE(renewal_due(end, 0));
  CHECK_FALSE(renewal_due(end, end - certificate_life));
  CHECK(renewal_due(end, 2'300'000'000));
  CHECK(ends_soon(end, end - 29 * day));
  CHECK_FALSE(ends_soon(end, end - 31 * day));
}
