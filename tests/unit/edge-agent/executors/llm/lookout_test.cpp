#include "edge-agent/executors/llm/lookout.hpp"

#include <thread>
#include <vector>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

TEST_CASE("after a change the executor waits for a look that began later") {
  Lookout lookout;
  std::stop_source stop;
  int looks = 0;
  // A look that was in progress at the time of the change is not enough.
  lookout.look_again();
  lookout.looked("");
  std::jthread looking([&] {
    while (!stop.stop_requested()) {
      lookout.pause(stop.get_token(), std::chrono::hours(1));
      if (stop.stop_requested()) return;
      ++looks;
      lookout.looked("");
    }
  });
  lookout.look_again_and_wait(stop.get_token(), std::chrono::seconds(30));
  CHECK(looks >= 1);
  stop.request_stop();
}

TEST_CASE("the wait for a look is bounded") {
  Lookout lookout;
  lookout.look_again_and_wait({}, std::chrono::milliseconds(1));
  std::stop_source stop;
  stop.request_stop();
  lookout.look_again_and_wait(stop.get_token(), std::chrono::hours(1));
  SUCCEED();
}

TEST_CASE("a problem with the back end is reported after the first look and when it changes") {
  Lookout lookout;
  std::vector<std::string> told;
  lookout.on_trouble([&](const std::string& trouble) { told.push_back(trouble); });
  CHECK(told.empty());
  lookout.looked("away");
  lookout.looked("away");
  lookout.looked("");
  CHECK(told == std::vector<std::string>{"away", ""});
  lookout.on_trouble({});
  lookout.looked("away");
  CHECK(told.size() == 2);
  lookout.on_trouble([&](const std::string& trouble) { told.push_back(trouble); });
  CHECK(told.back() == "away");
}
