// What one client may have of what is bounded for all.
#include "coordinator/core/submitter.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;

namespace {

struct Queue : Conversation {
  bool accepts(const std::string& submitter, std::size_t input = 4, std::uint64_t file = 0, std::size_t tasks = 1) {
    TaskSpec spec;
    spec.capability = capability("work");
    spec.input = std::string(input, '1');
    if (file > 0) spec.input_at = TextFile{"sha256-x", file, {}};
    SubmitTasks event{++request_, submitter, {}, {}};
    for (std::size_t i = 0; i < tasks; ++i) event.tasks.push_back({spec, {}});
    receive(event);
    return find<Accepted>() != nullptr;
  }
  int accepts_until_full(const std::string& submitter, std::size_t input = 4, std::uint64_t file = 0) {
    int count = 0;
    while (accepts(submitter, input, file)) ++count;
    return count;
  }
  std::string reason() {
    const auto* rejected = find<Rejected>();
    return rejected == nullptr || rejected->error.kind != ErrorKind::busy ? "" : rejected->error.message;
  }

 private:
  RequestId request_ = 100;
};

}  // namespace

TEST_CASE("one client has at most as many tasks as are free, so there is room for the next") {
  Queue q;
  q.state.policy.most_tasks = 120;
  CHECK(q.accepts_until_full("a") == 60);
  CHECK(q.reason() ==
        "the queue is full: the client a has 60 unfinished tasks; one client may have as many as are free, of 120 for "
        "all; try again later");
  CHECK_FALSE(q.accepts("present:a"));
  CHECK(q.accepts_until_full("b") == 30);
  CHECK(q.accepts_until_full("c") == 15);
  for (const char* late : {"d", "e", "f"}) CHECK(q.accepts(late));
  SECTION("a batch counts as a whole") {
    CHECK_FALSE(q.accepts("g", 4, 0, 8));
    CHECK(q.accepts("g", 4, 0, 6));
  }
  SECTION("a task that has ended frees its place") {
    const TaskId first = q.state.tasks.begin()->first;
    std::string of(client_of(q.task(first).submitter));
    const auto before = q.state.clients.cost(of).tasks;
    q.receive(CancelTask{1, first});
    q.commit();
    CHECK(q.state.clients.cost(of).tasks == before - 1);
    CHECK(q.accepts("d"));
  }
  SECTION("an operator's retry counts for the client whose task it is") {
    TaskRecord failed;
    failed.id = TaskId{Ulid{1, 1}};
    failed.spec.capability = capability("work");
    failed.submitter = "present:a";
    failed.state = TaskState::failed;
    q.receive(RetryTask{1, failed});
    CHECK(q.reason().find("the client a has 60 unfinished tasks") != std::string::npos);
    failed.submitter = "h";
    q.receive(RetryTask{2, failed});
    CHECK(q.find<Done>() != nullptr);
    CHECK(q.state.clients.cost("h").tasks == 1);
  }
}

TEST_CASE("without accesses the one client has the whole queue") {
  Queue q;
  q.state.policy.most_tasks = 50;
  CHECK(q.accepts_until_full("http") == 50);
  CHECK(q.reason().find("the maximum is 50") != std::string::npos);
}

TEST_CASE("one client has at most as many bytes as are free, in memory and in files") {
  Queue q;
  SECTION("memory") {
    q.state.policy.most_bytes = 12'000;
    CHECK(q.accepts_until_full("a", 1000) == 6);
    CHECK(q.reason().find("the client a has 6000 bytes of inputs; one client may have") != std::string::npos);
    CHECK(q.accepts("a", 0));
    CHECK(q.accepts_until_full("b", 1000) == 3);
  }
  SECTION("files") {
    q.state.policy.most_file_bytes = 12'000;
    CHECK(q.accepts_until_full("a", 4, 1000) == 6);
    CHECK(q.reason().find("the client a has 6000 bytes of inputs in files;") != std::string::npos);
    CHECK(q.accepts("a"));
    CHECK(q.accepts_until_full("b", 4, 1000) == 3);
    CHECK(q.state.clients.cost("b").file_bytes == 3000);
    while (!q.state.tasks.empty()) {
      q.receive(CancelTask{1, q.state.tasks.begin()->first});
      q.commit();
    }
    CHECK(q.state.clients.file_bytes() == 0);
    CHECK(q.state.clients.cost("a").bytes == 0);
  }
}

TEST_CASE("idle clients are remembered, but not without a bound") {
  Clients clients;
  std::size_t asked = 0;
  const auto may_forget = [&](ClientIndex index) { return ++asked, index != 7; };
  std::size_t most = 0;
  for (std::size_t i = 0; i < 5 * Clients::most_idle; ++i) {
    const auto index = clients.add("client " + std::to_string(i), {1, 1, 1}, may_forget);
    most = std::max<std::size_t>(most, index);
    clients.remove(index, {1, 1, 1});
  }
  CHECK(most <= Clients::most_idle + 1);
  CHECK(asked > 0);
  const auto busy = clients.add("busy", {1, 10}, may_forget);
  for (std::size_t i = 0; i < 2 * Clients::most_idle; ++i) {
    clients.remove(clients.add("other " + std::to_string(i), {1}, may_forget), {1});
  }
  CHECK(clients.add("busy", {1, 5}, may_forget) == busy);
  CHECK(clients.cost("busy").tasks == 2);
  CHECK(clients.cost("busy").bytes == 15);
  CHECK(clients.cost("nobody").tasks == 0);
}
