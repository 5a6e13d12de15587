#include "tests/support/agent.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

const AttemptKey key{id(1), 1};

// An agent that runs one task.
struct Running : Conversation {
  Running() { give({1}); }
  void finish(std::set<std::string> uploads = {}) {
    Finished finished;
    finished.key = key;
    finished.output = JsonText("1");
    finished.uploads = std::move(uploads);
    receive(finished);
  }
  template <typename E>
  std::size_t count_after(Duration time) {
    now += time;
    receive(Tick{});
    const auto ticked = all<E>().size();
    flush();
    return ticked + all<E>().size();
  }
};

}  // namespace

TEST_CASE("a deliverable result is not written to the disk") {
  Running c;
  c.finish();
  CHECK(c.count_after<SendResults>(0s) == 1);
  CHECK(c.count_after<SpoolResult>(5s) == 0);
  c.receive(AcknowledgeSeen{reign, {{key, false}}});
  CHECK(c.effects.empty());
}

TEST_CASE("without a broker or a coordinator a result is on the disk after two seconds, until it is acknowledged") {
  Running c;
  SECTION("the broker is unavailable") { c.receive(LinkDown{}); }
  SECTION("the coordinator is unavailable") { c.receive(CoordinatorSeen{false, reign}); }
  c.finish();
  CHECK(c.count_after<SpoolResult>(1900ms) == 0);
  CHECK(next_deadline(c.state) <= c.now + 2s);
  CHECK(c.count_after<SpoolResult>(2100ms) == 1);
  CHECK(c.count_after<SpoolResult>(1min) == 0);
  c.receive(LinkUp{});
  c.receive(CoordinatorSeen{true, reign});
  c.receive(AcknowledgeSeen{reign, {{key, false}}});
  REQUIRE(c.effects.size() == 1);
  CHECK(std::get<UnspoolResult>(c.effects[0]).key == key);
}

TEST_CASE("an unacknowledged result is on the disk after half a minute") {
  Running c;
  c.finish();
  CHECK(c.count_after<SpoolResult>(29s) == 0);
  CHECK(c.count_after<SpoolResult>(2s) == 1);
}

TEST_CASE("results of an earlier run are delivered, and removed once they are acknowledged") {
  Running c;
  TaskResult old;
  old.id = id(7);
  old.capability = work;
  old.output = JsonText("7");
  c.receive(Restored{old, {}});
  CHECK(held_list(c.state, c.now).size() == 2);
  CHECK(c.count_after<SendResults>(0s) == 1);
  c.receive(AcknowledgeSeen{reign, {{{old.id, 1}, false}}});
  CHECK(std::holds_alternative<UnspoolResult>(c.effects.at(0)));
  CHECK(c.state.spooled == 0);
}

TEST_CASE("a write to the disk that fails is retried later") {
  Running c;
  c.receive(LinkDown{});
  c.finish();
  c.count_after<SpoolResult>(0s);
  CHECK(c.count_after<SpoolResult>(3s) == 1);
  c.receive(SpoolFailed{key});
  CHECK(c.count_after<SpoolResult>(3s) == 0);
  CHECK(next_deadline(c.state) > c.now);
  CHECK(c.count_after<SpoolResult>(40s) == 1);
}

TEST_CASE("a result waits for the upload of the files that it names") {
  Running c;
  c.finish({"sha256-a", "sha256-b"});
  CHECK(c.count_after<SendResults>(0s) == 0);
  c.receive(ArtifactUploaded{"sha256-a"});
  CHECK(c.count_after<SendResults>(0s) == 0);
  SECTION("they arrive") {
    c.receive(ArtifactUploaded{"sha256-b"});
    CHECK(c.count_after<SendResults>(0s) == 1);
    CHECK(c.state.held.at(key).result.status == ResultStatus::succeeded);
  }
  SECTION("one is refused") {
    const bool again = GENERATE(true, false);
    c.receive(ArtifactRefused{"sha256-b", "over the bound", again});
    CHECK(c.count_after<SendResults>(0s) == 1);
    CHECK(c.state.held.at(key).result.error->code == "artifact_refused");
    CHECK(c.state.held.at(key).result.error->retryable == again);
  }
}

TEST_CASE("a result whose files the coordinator has removed is sent again after they are uploaded") {
  Conversation c;
  c.give({1});
  c.done(1);
  REQUIRE(c.results().size() == 1);
  c.receive(UploadSeen{Reign{2, *SessionId::parse("other")}, {id(1), 1}, {"sha256-a"}});
  CHECK(c.results().empty());
  c.receive(UploadSeen{reign, {id(2), 1}, {"sha256-a"}});  // not held
  c.receive(UploadSeen{reign, {id(1), 1}, {"sha256-a"}});
  CHECK(c.results().empty());
  c.receive(ArtifactUploaded{"sha256-a"});
  CHECK(c.results().size() == 1);
  c.receive(UploadSeen{reign, {id(1), 1}, {}});  // none of them is here
  CHECK(c.results().size() == 1);
}

TEST_CASE("an output in a file is sent with its place, and is lost with a file that is refused") {
  Conversation c;
  TasksSeen seen{reign, 1, work, {{id(1), 1, "null", 1min, {}, TextFile{"sha256-in", 300'000, {}}}}, 5'000'000};
  c.receive(seen);
  const auto started = c.all<StartTask>();
  REQUIRE(started.size() == 1);
  CHECK(started[0].input_at == TextFile{"sha256-in", 300'000, {}});
  CHECK(started[0].most_output_bytes == 5'000'000);
  Finished finished;
  finished.key = {id(1), 1};
  finished.output_at = TextFile{"sha256-out", 400'000, {}};
  finished.uploads = {"sha256-out"};
  c.receive(finished);
  CHECK(c.results().empty());
  c.receive(ArtifactRefused{"sha256-out", "it is too large", false});
  const auto results = c.results();
  REQUIRE(results.size() == 1);
  CHECK(results[0].status == ResultStatus::failed);
  CHECK_FALSE(results[0].output_at);
}

TEST_CASE("at its end an agent keeps undelivered results on the disk") {
  Running c;
  c.finish();
  c.receive(Ending{});
  REQUIRE(c.effects.size() == 1);
  CHECK(std::holds_alternative<SpoolResult>(c.effects[0]));
}
