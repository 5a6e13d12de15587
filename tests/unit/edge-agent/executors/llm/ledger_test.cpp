#include "edge-agent/executors/llm/ledger.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

Budget a_day(std::uint64_t requests, std::uint64_t tokens = 0) { return {0, requests, tokens}; }

}  // namespace

TEST_CASE("an executor and its successor share what they have used of a budget") {
  const test::TemporaryFolder folder;
  Ledger ledger(folder.path() + "/llm/x.json", {});
  CHECK_FALSE(ledger.take_request(a_day(2)));
  CHECK_FALSE(ledger.take_request(a_day(2)));
  CHECK(ledger.take_request(a_day(2)));
  CHECK_FALSE(ledger.take_request(a_day(3)));  // the new configuration allows one more
  CHECK(ledger.exhausted(a_day(3)));
  ledger.count_tokens(a_day(0, 100), 100);
  CHECK(ledger.exhausted(a_day(0, 100)));
}

TEST_CASE("what has been used is known after a restart") {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/llm/x.json";
  {
    CHECK_FALSE(Ledger(path, {}).take_request(a_day(1)));
  }
  Ledger later(path, {});
  CHECK(later.exhausted(a_day(1)));
}
