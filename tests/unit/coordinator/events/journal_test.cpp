#include "coordinator/events/journal.hpp"

#include <optional>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using events::EventId;
using events::Journal;

namespace {

constexpr std::uint64_t epoch = 7;

AgentName agent(int n) { return *AgentName::parse("pi-" + std::to_string(n)); }

// Changes that need nothing of the state.
Changes arrivals(int first, int count) {
  Changes changes;
  for (int n = first; n < first + count; ++n) changes.push_back(AgentChanged{agent(n), {}, AgentState::online});
  return changes;
}

struct Follower {
  int calls = 0;
  Journal::Listener listener;
  explicit Follower(Journal& journal, std::optional<EventId> since = {})
      : listener(journal, since, [this] { ++calls; }) {}
  std::vector<std::string> names(std::size_t most = 1000) {
    std::vector<std::string> names;
    const auto taken = listener.take(most);
    for (const auto& block : taken.blocks) {
      std::uint64_t number = block->first;
      for (const auto& event : block->events) {
        if (number++ > taken.since.number) names.push_back(std::get<events::AgentEvent>(event.what).agent.str());
      }
    }
    return names;
  }
};

struct Fixture {
  State state{Reign{epoch, *SessionId::parse("c")}, 1};
  Journal journal{epoch};
  void arrive(int first, int count = 1) { journal.committed(arrivals(first, count), state); }
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("ids of events are read back, and nothing else is") {
  CHECK(EventId{7, 12}.str() == "7-12");
  CHECK(EventId::parse("7-12") == EventId{7, 12});
  for (const char* bad : {"", "7", "-", "7-", "-7", "7-x", "a-1", "7-12 ", "7--1", "99999999999999999999-1"}) {
    INFO(bad);
    CHECK_FALSE(EventId::parse(bad));
  }
}

TEST_CASE("a listener takes each event once, from now on") {
  Fixture f;
  f.arrive(1);
  Follower follower(f.journal);
  CHECK(follower.calls == 1);  // to look at where it begins
  CHECK(follower.names().empty());
  f.arrive(2, 2);
  f.arrive(4);
  CHECK(follower.calls == 2);  // once until it takes
  CHECK(follower.names() == Names{"pi-2", "pi-3", "pi-4"});
  CHECK(follower.names().empty());
  f.arrive(5);
  CHECK(follower.calls == 3);
  CHECK(follower.names() == Names{"pi-5"});
}

TEST_CASE("a listener that takes a few at a time gets them all") {
  Fixture f;
  Follower follower(f.journal);
  (void)follower.names();
  for (int n = 1; n <= 5; ++n) f.arrive(n);
  CHECK(follower.names(2) == Names{"pi-1", "pi-2"});
  CHECK(follower.names(2) == Names{"pi-3", "pi-4"});
  CHECK(follower.names(2) == Names{"pi-5"});
}

TEST_CASE("a listener that returns goes on where it was, also within a commit") {
  Fixture f;
  std::optional<Follower> follower(std::in_place, f.journal);
  f.arrive(1, 3);
  const auto last = follower->listener.take(1000).last;
  follower.reset();
  f.arrive(4);
  Follower again(f.journal, last);
  CHECK(again.names() == Names{"pi-4"});
  Follower within(f.journal, EventId{epoch, last.number - 1});
  CHECK(within.names() == Names{"pi-3", "pi-4"});
}

TEST_CASE("what can no longer be told is a gap") {
  Fixture f;
  f.arrive(1);  // before anybody listens
  const auto gap = [&](EventId since) {
    Follower follower(f.journal, since);
    const auto taken = follower.listener.take(1000);
    CHECK(taken.blocks.empty());
    return taken.gap;
  };
  CHECK(gap({epoch, 0}));
  Follower follower(f.journal);
  f.arrive(2);
  const auto now = follower.listener.take(1000).last;
  CHECK_FALSE(gap(now));
  CHECK(gap({epoch, now.number + 1}));  // of another run with the same epoch: it cannot be
  CHECK(gap({epoch - 1, now.number}));
  CHECK(gap({epoch + 1, 1}));
}

TEST_CASE("the events of many commits are bounded, and a listener that is behind is told") {
  Fixture f;
  Follower slow(f.journal);
  Follower quick(f.journal);
  (void)slow.names();
  for (int n = 0; n < 30; ++n) {
    f.arrive(n * 1000 + 1, 1000);
    CHECK(quick.names(100'000).size() == 1000);
  }
  auto taken = slow.listener.take(1000);
  CHECK(taken.gap);
  CHECK(taken.blocks.empty());
  f.arrive(1);
  taken = slow.listener.take(1000);
  CHECK_FALSE(taken.gap);
  CHECK(taken.blocks.size() == 1);
}

TEST_CASE("a commit that is larger than the bound is kept until the next") {
  Fixture f;
  Follower follower(f.journal);
  (void)follower.names();
  f.arrive(1, 20'000);
  CHECK(follower.names(1).size() == 20'000);
}

TEST_CASE("the end of the program calls every listener") {
  Fixture f;
  Follower follower(f.journal);
  CHECK_FALSE(follower.listener.take(1).stopped);
  f.journal.stop();
  CHECK(follower.calls == 2);
  CHECK(follower.listener.take(1).stopped);
}
