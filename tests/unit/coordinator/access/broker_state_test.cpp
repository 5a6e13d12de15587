#include "coordinator/access/broker_state.hpp"

#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

TEST_CASE("the four lines of the watcher are read") {
  const auto state = parse_broker_state("broker=running\ngeneration=000007-ab\nrefused=000008-cd\nwhy=a=b, c\n");
  CHECK(state == BrokerState{"running", "000007-ab", "000008-cd", "a=b, c"});
  CHECK(parse_broker_state("broker=down\ngeneration=\nrefused=\nwhy=x") == BrokerState{"down", "", "", "x"});
}

TEST_CASE("other lines are skipped, and no file is no knowledge") {
  CHECK(parse_broker_state("") == BrokerState{});
  CHECK(parse_broker_state("\n\n=\nx\nnew=1\nbroker=stopped") == BrokerState{"stopped", "", "", ""});
  const test::TemporaryFolder folder;
  CHECK(read_broker_state(folder.path()) == BrokerState{});
  std::ofstream(folder / "state") << "broker=running\n";
  CHECK(read_broker_state(folder.path()).broker == "running");
}
