#include "coordinator/access/refusals.hpp"

#include <algorithm>

#include "coordinator/access/database.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

TEST_CASE("equal refusals are counted together, and taken once") {
  Refusals refusals;
  CHECK(refusals.take().empty());
  for (int i = 0; i < 3; ++i) refusals.note("phone", "needs admin");
  refusals.note_unknown("192.0.2.1", "needs an access");
  CHECK(refusals.take() == std::vector<Refusal>{{"phone", "needs admin", 3}, {"192.0.2.1", "needs an access", 1}});
  CHECK(refusals.take().empty());
  CHECK(refusals.total() == 4);
}

TEST_CASE("ever new refusals take bounded memory, and none is left out of the count") {
  Refusals refusals;
  for (int i = 0; i < 100'000; ++i) {
    refusals.note(std::string(1000, 'x') + std::to_string(i), std::to_string(i));
    refusals.note("x" + std::to_string(i % 100), std::string(1000, 'x') + std::to_string(i));
    refusals.note_unknown(std::to_string(i), std::to_string(i));
  }
  const auto taken = refusals.take();
  CHECK(taken.size() <= Refusals::most_callers * (Refusals::most_of_one + 1) + Refusals::most_unknown + 2);
  std::uint64_t count = 0;
  for (const auto& one : taken) {
    count += one.count;
    CHECK((one.who.size() <= Refusals::longest_text && one.what.size() <= Refusals::longest_text));
  }
  CHECK(count == 300'000);
}

TEST_CASE("no caller displaces what another one was refused, and nobody without a credential does") {
  Refusals refusals;
  for (int i = 0; i < 1000; ++i) {
    refusals.note("loud", std::to_string(i));
    refusals.note_unknown("192.0.2." + std::to_string(i), "needs an access");
  }
  refusals.note("victim", "needs admin");
  const auto taken = refusals.take();
  CHECK(std::ranges::count(taken, Refusal{"victim", "needs admin", 1}) == 1);
  CHECK(std::ranges::count(taken, Refusal{"loud", "other requests", 1000 - Refusals::most_of_one}) == 1);
  CHECK(std::ranges::count(taken, Refusal{"other addresses", "other requests", 1000 - Refusals::most_unknown}) == 1);
}

TEST_CASE("refusals are in the audit with their number, and remove none of its other entries") {
  const test::TemporaryFolder folder;
  const auto database = *AccessDatabase::open(folder.path());
  REQUIRE(database->audit({WallTime{1000}, "setup", "access.create", "admin"}));
  REQUIRE(database->write_refusals(WallTime{2000}, {{"phone", "needs admin", 12}, {"pi-1", "needs operate", 1}}));
  REQUIRE(database->audit({WallTime{3000}, "admin", "agent.revoke", "pi-1"}));
  const auto entries = *database->audited(10);
  REQUIRE(entries.size() == 4);
  CHECK(entries[0].what == "agent.revoke");
  CHECK(entries[1].what == "refused");
  CHECK(entries[1].about == "needs operate");
  CHECK(entries[2].about == "needs admin (12 times)");
  CHECK(entries[3].what == "access.create");
  CHECK(database->audited(2)->size() == 2);
  const std::vector<Refusal> many(AccessDatabase::most_refusals + 500, Refusal{"x", "y", 1});
  REQUIRE(database->write_refusals(WallTime{4000}, many));
  const auto all = *database->audited(1'000'000);
  CHECK(all.size() == AccessDatabase::most_refusals + 2);
  CHECK(all.back().what == "access.create");
}
