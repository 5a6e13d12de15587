// Budgets of tokens: what is counted, when it is refused, and how far it can be exceeded.
#include <map>
#include <random>

#include "coordinator/core/budgets.hpp"
#include "coordinator/core/submitter.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/coordinator.hpp"

using namespace edgefleet;
using namespace edgefleet::test;
using namespace std::chrono_literals;

namespace {

struct Questions : Conversation {
  Questions() {
    state.policy.count_tokens = true;
    join("pi-1", "s1", 1000, "llm.chat");
  }

  // The ids; none: it was refused.
  std::vector<TaskId> ask(std::uint64_t budget, const std::vector<std::uint64_t>& expected,
                          const std::string& submitter = "a", const std::string& what = "llm.chat") {
    SubmitTasks event{++request_, submitter, {}, {}};
    event.tokens_per_day = budget;
    for (const std::uint64_t tokens : expected) {
      SubmitTasks::One one;
      one.spec.capability = capability(what);
      one.spec.input = std::string(40, '1');
      one.tokens = tokens;
      event.tasks.push_back(std::move(one));
    }
    receive(event);
    const auto* accepted = find<Accepted>();
    return accepted == nullptr ? std::vector<TaskId>{} : accepted->ids;
  }
  TaskId one(std::uint64_t budget, std::uint64_t expected = 100, const std::string& submitter = "a") {
    const auto ids = ask(budget, {expected}, submitter);
    return ids.empty() ? TaskId{} : ids.front();
  }
  bool accepts(std::uint64_t budget, std::uint64_t expected = 100, const std::string& submitter = "a") {
    return one(budget, expected, submitter) != TaskId{};
  }
  void answer(const TaskId& id, TaskResult result) {
    for (int i = 0; i < 10 && task(id).attempts.empty(); ++i) place();
    const auto& attempts = task(id).attempts;
    REQUIRE_FALSE(attempts.empty());
    result.id = id;
    result.attempt = attempts.back().n;
    receive(ResultsSeen{attempts.back().agent, {result}});
  }
  void answer(const TaskId& id, std::uint64_t tokens) {
    TaskResult result;
    result.tokens = tokens;
    answer(id, result);
    commit();
  }
  std::uint64_t used(const std::string& client = "a") const { return state.budgets.used(client, day_of(now.wall)); }
  const Error& refusal() const {
    const auto* rejected = find<Rejected>();
    REQUIRE(rejected != nullptr);
    return rejected->error;
  }

 private:
  RequestId request_ = 0;
};

}  // namespace

TEST_CASE("a budget that is used up refuses until midnight UTC, and says so") {
  Questions q;
  q.now.wall = WallTime{19'000 * ms_of_day + ms_of_day - 223 * 60'000};
  const TaskId first = q.one(1000);
  q.answer(first, 1012);
  CHECK(q.used() == 1012);
  CHECK_FALSE(q.accepts(1000));
  CHECK(q.refusal().kind == ErrorKind::used_up);
  CHECK(q.refusal().message ==
        "the access a has used 1012 of its 1000 tokens a day; they begin anew at midnight UTC, in 3 h 43 min");
  CHECK(q.refusal().retry_after == 223min);
  SECTION("another access, and one without a budget, is not concerned") {
    CHECK(q.accepts(1000, 100, "b"));
    CHECK(q.accepts(0));
  }
  SECTION("its other programs are") { CHECK_FALSE(q.accepts(1000, 100, "present:a")); }
  SECTION("other tasks are not") { CHECK_FALSE(q.ask(1000, {0}, "a", "work").empty()); }
  SECTION("it begins anew at midnight") {
    q.now.wall.unix_ms += 223 * 60'000 - 1;
    CHECK_FALSE(q.accepts(1000));
    CHECK(q.refusal().retry_after == 1ms);
    q.now.wall.unix_ms += 1;
    CHECK(q.used() == 0);
    CHECK(q.accepts(1000));
  }
  SECTION("a clock that goes back finds what was used on that day") {
    q.now.wall.unix_ms += ms_of_day;
    CHECK(q.accepts(1000));
    q.now.wall.unix_ms -= ms_of_day;
    CHECK(q.used() == 1012);
  }
  SECTION("an ended task is not tried again") {
    TaskRecord failed;
    failed.id = TaskId{Ulid{1, 1}};
    failed.submitter = "a";
    failed.spec.capability = capability("llm.chat");
    failed.state = TaskState::failed;
    failed.tokens = 100;
    q.receive(RetryTask{7, failed, 1000});
    CHECK(q.refusal().kind == ErrorKind::used_up);
    failed.tokens = 0;  // of another capability
    q.receive(RetryTask{8, failed, 1000});
    CHECK(q.find<Done>() != nullptr);
  }
}

TEST_CASE("what was accepted is finished, and counts while it waits and runs") {
  Questions q;
  const TaskId first = q.one(1000, 600);
  const TaskId second = q.one(1000, 600);
  CHECK(second != TaskId{});
  CHECK_FALSE(q.accepts(1000));
  CHECK(q.refusal().kind == ErrorKind::busy);
  CHECK_FALSE(q.refusal().retry_after);
  CHECK(q.refusal().message ==
        "the access a has used 0 of its 1000 tokens a day, and its unfinished tasks may need 1200: try again when some "
        "of them have ended");
  q.answer(first, 2000);  // longer than expected
  CHECK_FALSE(q.accepts(1000));
  CHECK(q.refusal().kind == ErrorKind::used_up);
  q.answer(second, 5);
  CHECK(q.used() == 2005);
  CHECK(q.state.clients.cost("a").tokens == 0);
}

TEST_CASE("a batch counts as if its tasks came one after the other") {
  Questions q;
  CHECK(q.ask(1000, {100, 100, 800, 1}).empty());
  CHECK(q.refusal().kind == ErrorKind::too_large);
  CHECK(q.refusal().message.find("need about 1000 and more: submit fewer at a time") != std::string::npos);
  const auto ids = q.ask(1000, {100, 100, 700, 5000});
  REQUIRE(ids.size() == 4);
  CHECK_FALSE(q.accepts(1000));
  for (const TaskId& id : ids) q.answer(id, 100);
  CHECK(q.ask(1000, {500, 200, 1}).empty());
  CHECK(q.refusal().kind == ErrorKind::used_up);
  CHECK_FALSE(q.ask(1000, {500, 99, 1}).empty());
}

TEST_CASE("tokens that nobody has counted are estimated from the texts") {
  Questions q;
  TaskResult result;
  const TaskId id = q.one(0);
  SECTION("of an answer") {
    result.output = std::string(80, 'x');
    q.answer(id, result);
    CHECK(q.used() == 11 + 21);
  }
  SECTION("of an answer in a file") {
    result.output_at = TextFile{"sha256-x", 8000, {}};
    q.answer(id, result);
    CHECK(q.used() == 11 + 2001);
  }
  SECTION("of a question that was stopped while it ran") {
    result.status = ResultStatus::cancelled;
    result.run = 1s;
    q.place();
    q.receive(CancelTask{9, id});
    q.answer(id, result);
    CHECK(q.used() == 11);
  }
  SECTION("a question that failed on its way has taken none, if nobody says otherwise") {
    result.status = ResultStatus::failed;
    result.error = TaskError{"backend_unavailable", "", true, {}};
    q.answer(id, result);
    CHECK(q.used() == 0);
    for (int i = 0; i < 10; ++i) {
      q.pass(1s);
      q.beat("pi-1", "s1", 1000, {});
    }
    result.tokens = 50;
    q.answer(id, result);
    CHECK(q.used() == 50);
  }
  SECTION("without accesses nothing is counted") {
    q.state.policy.count_tokens = false;
    q.answer(id, 5);
    CHECK(q.used() == 0);
    CHECK(q.find<SaveTokens>() == nullptr);
  }
}

TEST_CASE("a result counts once, in the commit that records it") {
  Questions q;
  Drain drain(q.state);
  SubmitTasks event{1, "a", {}, {}};
  SubmitTasks::One one;
  one.spec.capability = capability("llm.chat");
  event.tasks.push_back(one);
  (void)drain.step(event, q.now);
  const TaskId id = drain.accepted(1)->ids.front();
  (void)drain.place(q.now);
  (void)drain.close(q.now.mono, 1s);
  drain.committed(q.now, [](const Drain::AfterCommit&) {});
  TaskResult result;
  result.id = id;
  result.tokens = 7;
  (void)drain.step(ResultsSeen{agent("pi-1"), {result, result}}, q.now);
  const std::vector<TokensUsed> expected{{"a", day_of(q.now.wall), 7}};
  CHECK(drain.close(q.now.mono, 2s).tokens == expected);
  drain.reopen();
  (void)drain.step(ResultsSeen{agent("pi-1"), {result}}, q.now);
  const Writes& writes = drain.close(q.now.mono, 3s);
  CHECK(writes.tokens == expected);
  CHECK(writes.tasks.size() == 1);
  drain.committed(q.now, [](const Drain::AfterCommit&) {});
  CHECK(drain.close(q.now.mono, 4s).empty());
}

// By random arrivals, batches, answers, cancels and retries: if no answer takes more than expected, a client never uses
// more than its budget and its largest task.
TEST_CASE("a budget is exceeded by one task at most, and by what answers exceed their estimates") {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](std::uint64_t most) { return random() % most; };
    Questions q;
    const std::uint64_t budget = 1 + below(5000), largest = 1 + below(800);
    std::map<TaskId, std::uint64_t> open;
    std::uint64_t sum = 0, excess = 0;
    for (int turn = 0; turn < 200; ++turn) {
      if (below(2) == 0) {
        std::vector<std::uint64_t> expected(1 + below(4));
        for (auto& one : expected) one = 1 + below(largest);
        const auto ids = q.ask(budget, expected);
        for (std::size_t i = 0; i < ids.size(); ++i) open[ids[i]] = expected[i];
      } else if (!open.empty()) {
        auto some = std::next(open.begin(), static_cast<std::ptrdiff_t>(below(open.size())));
        const auto [id, expected] = *some;
        open.erase(some);
        if (below(5) == 0) {
          q.receive(CancelTask{1, id});
          TaskResult stopped;
          stopped.status = ResultStatus::cancelled;
          if (q.state.tasks.at(id).record.state == TaskState::cancelling) q.answer(id, stopped);
          q.commit();
          continue;
        }
        const std::uint64_t more = below(10) == 0 ? below(50) : 0;
        const std::uint64_t tokens = 1 + below(expected) + more;
        q.answer(id, tokens);
        sum += tokens;
        excess += more;
      }
      INFO("seed " << seed << ", turn " << turn);
      REQUIRE(q.used() == sum);
      REQUIRE(sum < budget + largest + excess);
      std::uint64_t reserved = 0;
      for (const auto& [id, expected] : open) reserved += expected;
      REQUIRE(q.state.clients.cost("a").tokens == reserved);
    }
  }
}

TEST_CASE("days and clients that are remembered have a bound") {
  Budgets budgets;
  for (std::int64_t day = -5; day < 5; ++day) budgets.count("a", day, 1);
  CHECK(budgets.used("a", 4) == 1);
  CHECK(budgets.used("a", 2) == 1);
  CHECK(budgets.used("a", 1) == 0);
  for (std::size_t i = 0; i < Budgets::most_clients; ++i) budgets.count("client " + std::to_string(i), 9, i + 2);
  budgets.count("new", 9, 1);
  CHECK(budgets.used("client 0", 9) == 0);
  CHECK(budgets.used("client 1", 9) == 3);
  CHECK(budgets.used("new", 9) == 1);
  CHECK(day_of(WallTime{-1}) == -1);
  CHECK(day_of(WallTime{-ms_of_day}) == -1);
  CHECK(until_next_day(WallTime{-1}) == 1ms);
}
