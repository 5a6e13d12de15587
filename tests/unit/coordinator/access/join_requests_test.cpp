#include "coordinator/access/join_requests.hpp"

#include "common/pki/request.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const std::string nonce(64, '5');

// A new machine, as it takes part.
struct Newcomer {
  pki::Key key = *pki::Key::make();
  std::string name = "pi-7";

  [[nodiscard]] join::Commitment commitment() const {
    return {join::commitment_of(key.public_key().sha256(), nonce), {name, false, "serial"}};
  }
  [[nodiscard]] join::Opening opening() const { return {nonce, *pki::make_request(key, name)}; }
  [[nodiscard]] std::string code(const join::Challenge& challenge) const {
    const auto ca = *pki::Certificate::from_pem(challenge.ca);
    return join::code_of(ca.fingerprint(), key.public_key().sha256(), nonce, challenge.nonce);
  }
};

struct Desk {
  pki::Authority authority = *pki::Authority::make(*FleetName::parse("home"), {});
  JoinRequests requests{authority.certificate()};
  Time now{};

  join::Challenge begin(const Newcomer& newcomer, const std::string& address = "192.168.1.7") {
    return *requests.begin(address, newcomer.commitment(), now);
  }
  join::Challenge ask(const Newcomer& newcomer, const std::string& address = "192.168.1.7") {
    auto challenge = begin(newcomer, address);
    REQUIRE(requests.open(challenge.id, newcomer.opening(), now));
    return challenge;
  }
  bool waits(const std::string& id) {
    const auto answer = requests.look(id, now);
    return answer && std::holds_alternative<JoinRequests::Waiting>(*answer);
  }
};

}  // namespace

TEST_CASE("a person accepts by the code that the new machine shows") {
  Desk desk;
  const Newcomer newcomer;
  const auto challenge = desk.ask(newcomer);
  CHECK(desk.waits(challenge.id));
  REQUIRE(desk.requests.waiting(desk.now).size() == 1);
  CHECK(desk.requests.waiting(desk.now)[0].name == "pi-7");
  const auto asking = desk.requests.find(newcomer.code(challenge), desk.now);
  REQUIRE(asking);
  CHECK(asking->key == newcomer.key.public_key());
  EnrolledAgent agent;
  agent.name = "pi-7";
  desk.requests.accept(asking->id, agent);
  CHECK(std::get<EnrolledAgent>(*desk.requests.look(challenge.id, desk.now)).name == "pi-7");
  CHECK(desk.requests.waiting(desk.now).empty());
  CHECK_FALSE(desk.requests.find(newcomer.code(challenge), desk.now));
}

TEST_CASE("a request that opens something else than it has committed to ends") {
  Desk desk;
  const Newcomer newcomer;
  const Newcomer other;
  const auto challenge = desk.begin(newcomer);
  CHECK_FALSE(desk.requests.look(challenge.id, desk.now));
  CHECK(desk.requests.open(challenge.id, other.opening(), desk.now).error().kind == ErrorKind::invalid);
  CHECK(desk.requests.open(challenge.id, newcomer.opening(), desk.now).error().kind == ErrorKind::not_found);
  const auto rubbish = desk.begin(newcomer);
  CHECK_FALSE(desk.requests.open(rubbish.id, {nonce, "not PEM"}, desk.now));
  CHECK(desk.requests.waiting(desk.now).empty());
}

TEST_CASE("an opening may be repeated, and not be replaced") {
  Desk desk;
  const Newcomer newcomer;
  const auto challenge = desk.ask(newcomer);
  CHECK(desk.requests.open(challenge.id, newcomer.opening(), desk.now));
  CHECK(desk.requests.open(challenge.id, Newcomer().opening(), desk.now).error().kind == ErrorKind::conflict);
  CHECK(desk.waits(challenge.id));
}

TEST_CASE("a machine in the middle shows another code on each side") {
  Desk desk;
  const Newcomer newcomer;
  const Newcomer attacker;
  // It gives the newcomer an authority of its own, and asks the coordinator with a key of its own.
  const auto own = *pki::Authority::make(*FleetName::parse("home"), {});
  const auto challenge = desk.ask(attacker);
  const join::Challenge forged{challenge.id, challenge.nonce, own.certificate().pem()};
  CHECK(newcomer.code(forged) != attacker.code(challenge));
  CHECK_FALSE(desk.requests.find(newcomer.code(forged), desk.now));
}

TEST_CASE("three wrong codes in a row refuse everything that waits") {
  Desk desk;
  const Newcomer newcomer;
  const auto challenge = desk.ask(newcomer);
  CHECK(desk.requests.find("pqrs-tuvw", desk.now).error().kind == ErrorKind::not_found);
  CHECK(desk.requests.find("pi-7", desk.now).error().kind == ErrorKind::invalid);
  CHECK(desk.requests.find("aaaa-aaab", desk.now).error().kind == ErrorKind::not_found);
  CHECK(desk.waits(challenge.id));
  CHECK_FALSE(desk.requests.find("aaaa-aaac", desk.now));
  CHECK(std::holds_alternative<JoinRequests::Refused>(*desk.requests.look(challenge.id, desk.now)));
}

TEST_CASE("those who ask are bounded in number, by address and in time") {
  Desk desk;
  const Newcomer newcomer;
  for (std::size_t i = 0; i < JoinRequests::most_of_source; ++i) desk.ask(newcomer, "10.0.0.1");
  CHECK(desk.requests.begin("10.0.0.1", newcomer.commitment(), desk.now).error().kind == ErrorKind::busy);
  for (std::size_t i = JoinRequests::most_of_source; i < JoinRequests::most; ++i) {
    desk.ask(newcomer, "10.0.1." + std::to_string(i));
  }
  CHECK_FALSE(desk.requests.begin("10.0.2.1", newcomer.commitment(), desk.now));
  desk.now += JoinRequests::patience;
  CHECK(desk.requests.begin("10.0.0.1", newcomer.commitment(), desk.now));
  CHECK(desk.requests.waiting(desk.now).empty());
}

TEST_CASE("requests that are only begun shut out nobody, and soon end") {
  Desk desk;
  const Newcomer idle;
  for (int i = 0; i < 1000; ++i) (void)desk.begin(idle, "10.0." + std::to_string(i % 25) + ".1");
  const Newcomer honest;
  const auto challenge = desk.begin(honest, "10.1.1.1");
  for (int i = 0; i < 1000; ++i) (void)desk.begin(idle, "10.0." + std::to_string(i % 25) + ".1");
  CHECK(desk.requests.open(challenge.id, honest.opening(), desk.now));
  CHECK(desk.waits(challenge.id));
  const auto late = desk.begin(honest, "10.1.1.2");
  desk.now += JoinRequests::opening_patience;
  CHECK_FALSE(desk.requests.open(late.id, honest.opening(), desk.now));
  CHECK(desk.waits(challenge.id));
}

TEST_CASE("all addresses of one network of IPv6 are one source, and what was answered takes no place") {
  Desk desk;
  const Newcomer newcomer;
  std::vector<join::Challenge> asked;
  for (std::size_t i = 0; i < JoinRequests::most_of_source; ++i)
    asked.push_back(desk.ask(newcomer, "fd00:1:2:3::" + std::to_string(i + 1)));
  CHECK_FALSE(desk.requests.begin("fd00:1:2:3::ffff", newcomer.commitment(), desk.now));
  CHECK(desk.requests.begin("fd00:1:2:4::1", newcomer.commitment(), desk.now));
  desk.requests.refuse(asked.front().id);
  CHECK(desk.requests.begin("fd00:1:2:3::ffff", newcomer.commitment(), desk.now));
}

TEST_CASE("a name that is none is refused") {
  Desk desk;
  Newcomer newcomer;
  newcomer.name = "../pi";
  CHECK(desk.requests.begin("10.0.0.1", newcomer.commitment(), desk.now).error().kind == ErrorKind::invalid);
}
