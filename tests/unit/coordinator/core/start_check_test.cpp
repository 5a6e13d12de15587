#include "coordinator/core/start_check.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;

namespace {

const SessionId own_last = *SessionId::parse("last");
const Reign other{7, *SessionId::parse("other")};
constexpr auto listening = StartCheck::Verdict::listening;
constexpr auto may_start = StartCheck::Verdict::may_start;
constexpr auto other_works = StartCheck::Verdict::other_works;

struct Starting {
  Time began = Time{} + 1h;
  StartCheck check{own_last};
  Starting() { check.subscribed(began); }
  StartCheck::Verdict after(Duration time) const { return check.verdict(began + time); }
};

}  // namespace

TEST_CASE("nothing is decided before the broker can be heard") {
  StartCheck check{own_last};
  check.beat_seen(other, false);
  check.status_seen(true, other, true);
  CHECK(check.verdict(Time{} + 24h) == listening);
  CHECK_FALSE(check.next_tick());
}

TEST_CASE("without a retained status a coordinator starts as soon as one would have arrived") {
  const Starting s;
  CHECK(s.after(0s) == listening);
  CHECK(s.after(250ms) == may_start);
  CHECK(*s.check.next_tick() == s.began + 250ms);
}

TEST_CASE("after a clean end, a crash, or its own last run, it starts at once") {
  for (const auto& [online, session] : {std::pair{false, "other"}, {false, "last"}, {true, "last"}}) {
    INFO(online << " " << session);
    Starting s;
    s.check.status_seen(online, Reign{7, *SessionId::parse(session)}, true);
    CHECK(s.after(0s) == may_start);
  }
}

TEST_CASE("a retained status of another one is a reason to listen for three seconds, and refuses nobody alone") {
  Starting s;
  s.check.status_seen(true, other, true);
  CHECK(s.after(2999ms) == listening);
  CHECK(s.after(3s) == may_start);
}

TEST_CASE("a beat of another one refuses the start, also before its status arrives") {
  for (const bool status : {false, true}) {
    Starting s;
    if (status) s.check.status_seen(true, other, true);
    s.check.beat_seen(other, false);
    CHECK(s.after(0s) == other_works);
    CHECK(s.after(10s) == other_works);
    CHECK(s.check.other()->session == other.session);
  }
}

TEST_CASE("a retained beat was published by somebody else, at some time: it refuses nobody") {
  Starting s;
  s.check.beat_seen(other, true);
  CHECK(s.after(250ms) == may_start);
}

TEST_CASE("another one that announces itself meanwhile is first") {
  Starting s;
  s.check.status_seen(true, other, false);
  CHECK(s.after(0s) == other_works);
}

TEST_CASE("the will of the coordinator that was listened for ends the wait, that of a third one does not") {
  Starting s;
  s.check.status_seen(true, other, true);
  s.check.status_seen(false, Reign{9, *SessionId::parse("third")}, false);
  CHECK(s.after(0s) == listening);
  s.check.status_seen(false, Reign{3, other.session}, false);
  CHECK(s.after(0s) == may_start);
}

TEST_CASE("a lost connection begins the wait anew") {
  Starting s;
  s.check.status_seen(true, other, true);
  s.check.lost_connection();
  CHECK(s.after(1h) == listening);
  s.check.subscribed(s.began + 2h);
  CHECK(s.after(2h) == listening);
  CHECK(s.after(2h + 250ms) == may_start);
}

TEST_CASE("one that was thrown out listens for three seconds in any case") {
  const Time began = Time{} + 1h;
  for (const bool online : {false, true}) {
    StartCheck check{own_last, true};
    check.subscribed(began);
    check.status_seen(online, Reign{7, own_last}, true);
    check.status_seen(online, other, true);
    check.status_seen(false, other, false);
    check.status_seen(true, Reign{7, own_last}, false);
    check.beat_seen(Reign{7, own_last}, false);
    CHECK(check.verdict(began + 2999ms) == listening);
    CHECK(check.verdict(began + 3s) == may_start);
    check.beat_seen(other, false);
    CHECK(check.verdict(began + 1s) == other_works);
  }
  StartCheck check{own_last, true};
  check.subscribed(began);
  check.status_seen(true, other, false);
  CHECK(check.verdict(began) == other_works);
}
