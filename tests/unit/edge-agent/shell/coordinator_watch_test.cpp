#include "edge-agent/shell/coordinator_watch.hpp"

#include <condition_variable>
#include <fstream>
#include <mutex>
#include <vector>

#include "edge-agent/shell/artifact_spool.hpp"
#include "edge-agent/shell/http_artifacts.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/http_stub.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;
using edgefleet::test::HttpStub;

namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::string nobody = "http://127.0.0.1:1";
const std::string healthy = HttpStub::answer("200 OK", R"({"status":"ok"})");
constexpr CoordinatorWatch::Times quick{1ms, 5ms, 1h, 0ms, 0ms, 5s};

// What the watch has told, as a list that a test can wait for.
class Told {
 public:
  CoordinatorWatch::OnSeen listener() {
    return [this](std::string problem) {
      const std::lock_guard lock(mutex_);
      all_.push_back(std::move(problem));
      filled_.notify_all();
    };
  }
  // The message of this number; "nothing" if it does not come.
  std::string at(std::size_t number) {
    std::unique_lock lock(mutex_);
    const bool there = filled_.wait_for(lock, 10s, [&] { return all_.size() > number; });
    return there ? all_[number] : "nothing";
  }

 private:
  std::mutex mutex_;
  std::condition_variable filled_;
  std::vector<std::string> all_;
};

}  // namespace

TEST_CASE("an address where no coordinator is, is told at the start, with what to change") {
  Told told;
  CoordinatorWatch watch(nobody, quick);
  watch.start(told.listener());
  CHECK(has(told.at(0), "cannot reach the coordinator's HTTP API at " + nobody));
  CHECK(has(told.at(0), "refused"));
  CHECK(has(told.at(0), "--coordinator"));
  CHECK_FALSE(watch.wrong_address({}));
  CHECK_FALSE(watch.hopeless());  // over MQTT it is not online yet: it may start later
  watch.coordinator_is(true);
  CHECK(watch.hopeless());
  CHECK(watch.wrong_address({}));
  watch.coordinator_is(false);
  CHECK_FALSE(watch.hopeless());
}

TEST_CASE("a server that is no coordinator is told apart from one") {
  Told told;
  const HttpStub other({HttpStub::answer("404 Not Found", "no such page", "text/plain"), healthy});
  CoordinatorWatch watch(other.url(), quick);
  watch.start(told.listener());
  CHECK(has(told.at(0), "is not an edgefleet coordinator (HTTP status 404)"));
  CHECK(told.at(1).empty());
  watch.coordinator_is(true);
  CHECK_FALSE(watch.wrong_address({}));
}

TEST_CASE("it looks again at once after a failed transfer, and when the coordinator is back") {
  Told told;
  const HttpStub coordinator({healthy, HttpStub::answer("502 Bad Gateway", ""), healthy});
  CoordinatorWatch watch(coordinator.url(), {1h, 1h, 1h, 0ms, 0ms, 5s});
  watch.start(told.listener());
  CHECK(told.at(0).empty());
  watch.transfer_failed();
  CHECK(has(told.at(1), "502"));
  watch.coordinator_is(true);
  CHECK(told.at(2).empty());
}

TEST_CASE("a short failure of a coordinator that was reached is not told: it restarts") {
  Told told;
  const HttpStub coordinator({healthy, HttpStub::answer("502 Bad Gateway", ""), healthy});
  CoordinatorWatch watch(coordinator.url(), {1ms, 1ms, 1h, 1h, 1h, 5s});
  watch.start(told.listener());
  CHECK(told.at(0).empty());
  watch.transfer_failed();
  CHECK(told.at(1).empty());
  CHECK(coordinator.requests().size() == 3);
}

TEST_CASE("a transfer to an address that is wrong fails early, so that another agent gets the task") {
  const test::TemporaryFolder folder;
  Told told;
  const auto watch = std::make_shared<CoordinatorWatch>(nobody, quick);
  watch->start(told.listener());
  watch->coordinator_is(true);
  CHECK(told.at(0) != "nothing");
  HttpArtifacts artifacts(nobody, watch);
  const auto fetched = artifacts.fetch("sha256-" + std::string(64, 'a'), folder.path() + "/file", 1000, {});
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().kind == ErrorKind::unavailable);
  CHECK(has(fetched.error().message, "--coordinator"));
}

TEST_CASE("a file that could never be uploaded is not kept for later: the attempt fails") {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "content";
  Told told;
  const auto watch = std::make_shared<CoordinatorWatch>(nobody, quick);
  watch->start(told.listener());
  ArtifactSpool spool(folder.path() + "/spool", std::make_unique<HttpArtifacts>(nobody, watch), {});
  REQUIRE(spool.store(folder.path() + "/file", {}));  // the coordinator is not online: it may be right
  watch->coordinator_is(true);
  CHECK(told.at(0) != "nothing");
  const auto stored = spool.store(folder.path() + "/file", {});
  REQUIRE_FALSE(stored);
  CHECK(stored.error().kind == ErrorKind::unavailable);
}
