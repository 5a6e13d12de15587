#include "edge-agent/identity/renewal.hpp"

#include <rapidcheck.h>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t day = 86'400;
constexpr std::int64_t end = 1'900'000'000;

std::int64_t seconds(Duration length) { return std::chrono::duration_cast<std::chrono::seconds>(length).count(); }

}  // namespace

TEST_CASE("in ten simulated years a certificate is renewed every eight months, and never ends") {
  std::int64_t now = 1'800'000'000;
  std::int64_t ends = now + certificate_life;
  RenewalPlan plan(ends);
  int renewals = 0;
  for (const std::int64_t stop = now + 10 * certificate_life; now < stop; now += seconds(plan.pause())) {
    REQUIRE(now < ends);
    if (!plan.due(now, 0)) {
      plan.fine();
      continue;
    }
    CHECK_FALSE(ends_soon(ends, now));
    ends = now + certificate_life;
    plan.renewed(ends);
    ++renewals;
  }
  CHECK(renewals == 14);
}

TEST_CASE(
    "the coordinator's clock counts: one in 1970 or in 2040 on this machine neither forgets nor repeats a renewal") {
  RenewalPlan plan(end);
  for (const std::int64_t own : {std::int64_t{0}, end, std::int64_t{2'208'988'800}}) {
    CHECK_FALSE(plan.due(end - certificate_life / 3 - day, own));
    CHECK(plan.due(end - certificate_life / 3, own));
  }
  plan.renewed(end + certificate_life);
  CHECK_FALSE(plan.due(end, 2'208'988'800));
  // A coordinator that sends no date.
  CHECK(plan.due(std::nullopt, end + certificate_life));
  CHECK_FALSE(plan.due(std::nullopt, 0));
}

TEST_CASE("a jump of the coordinator's clock back and forth renews once") {
  RenewalPlan plan(end);
  CHECK(plan.due(end + 20 * certificate_life, 0));
  plan.renewed(end + 21 * certificate_life);
  CHECK_FALSE(plan.due(end, 0));
  CHECK_FALSE(plan.due(0, 0));
}

TEST_CASE("after a failure the agent tries again within minutes, and later every hour") {
  RenewalPlan plan(end);
  CHECK(plan.pause() == RenewalPlan::between_looks);
  Duration before{0};
  for (int failures = 0; failures < 100; ++failures) {
    (void)plan.failed(Time{}, 0, true, "no answer");
    CHECK(plan.pause() >= before);
    before = plan.pause();
    if (failures == 0) CHECK(before == RenewalPlan::first_pause);
  }
  CHECK(before == RenewalPlan::longest_pause);
  plan.fine();
  CHECK(plan.pause() == RenewalPlan::between_looks);
}

namespace {

// A year of an agent and its coordinator. The agent is offline now and then, is switched off and starts in 1970, and
// its clock jumps; so does the coordinator's, by less than it takes to end a certificate.
struct SimulatedYear {
  std::int64_t life = certificate_life;
  std::int64_t passed = 0;  // seconds, that really pass
  std::int64_t coordinator = 1'800'000'000, own = 0;  // the clocks
  std::int64_t ends = coordinator + life;
  RenewalPlan plan{ends, life};
  int renewals = 0;

  void pass(std::int64_t time) {
    passed += time;
    coordinator += time;
    own += time;
  }
  // As keep_renewing() does it.
  void look(bool reachable) {
    if (!reachable) {
      (void)plan.failed(Time{std::chrono::seconds(passed)}, own, false, "no answer");
    } else if (coordinator >= ends) {  // refused at the handshake
      (void)plan.failed(Time{std::chrono::seconds(passed)}, own, true, "it has ended");
    } else if (!plan.due(coordinator, own)) {
      plan.fine();
    } else {
      ends = coordinator + life;
      plan.renewed(ends);
      ++renewals;
    }
  }
  void run(std::int64_t length, bool reachable) {
    const std::int64_t until = passed + length;
    while (passed < until) {
      look(reachable);
      pass(std::min(seconds(plan.pause()), until - passed));
    }
  }
  void reboot() {
    own = 0;
    plan = RenewalPlan(ends, life);
  }
};

}  // namespace

TEST_CASE("in a simulated year of absences, jumps and starts in 1970 no certificate ends, and none is renewed early") {
  const bool holds = rc::check([] {
    SimulatedYear year;
    year.life = *rc::gen::element<std::int64_t>(365 * day, 30 * day, day);
    year.ends = year.coordinator + year.life;
    year.reboot();
    const std::int64_t third = year.life / 3;
    while (year.passed < certificate_life) {
      // What is left from two thirds on is never all spent by one absence, which may be of weeks.
      year.run(*rc::gen::inRange<std::int64_t>(0, third - third / 4), false);
      RC_ASSERT(year.coordinator < year.ends);
      if (*rc::gen::inRange(0, 3) == 0) year.reboot();
      if (*rc::gen::inRange(0, 3) == 0) year.own = *rc::gen::element<std::int64_t>(0, 2'208'988'800, 4'102'444'800);
      if (*rc::gen::inRange(0, 5) == 0) year.coordinator += *rc::gen::inRange<std::int64_t>(-60, 60);
      // It is connected for a while; after the failures the next look is at most an hour away.
      year.run(seconds(RenewalPlan::longest_pause) + *rc::gen::inRange<std::int64_t>(1, third), true);
      RC_ASSERT(year.coordinator < year.ends);
      RC_ASSERT(year.ends - year.coordinator > third - seconds(RenewalPlan::between_looks) - day / 24);
    }
    RC_ASSERT(year.renewals <= year.passed / (year.life - third) + 1);
    RC_ASSERT(year.renewals >= year.passed / year.life - 1);
  });
  CHECK(holds);
}

TEST_CASE("an agent that was away until its certificate had ended goes on to try, and says so once a day") {
  SimulatedYear year;
  year.run(certificate_life + 10 * day, false);
  CHECK(year.coordinator >= year.ends);
  year.run(day, true);
  CHECK(year.renewals == 0);
  year.own = year.coordinator;
  const auto line = year.plan.failed(Time{std::chrono::seconds(year.passed + 2 * day)}, year.own, true, "it has ended");
  REQUIRE(line);
  CHECK(line->warning);
}

TEST_CASE("failures are told once a day, and as a warning in the last month") {
  RenewalPlan plan(end);
  const std::int64_t early = end - 100 * day, late = end - 29 * day;
  CHECK_FALSE(plan.failed(Time{1h}, early, false, "no answer"));  // it is not due: a coordinator that restarts
  const auto first = plan.failed(Time{2h}, early, true, "no answer");
  REQUIRE(first);
  CHECK_FALSE(first->warning);
  CHECK(first->text.find("no answer") != std::string::npos);
  CHECK_FALSE(plan.failed(Time{25h}, early, true, "no answer"));
  const auto warning = plan.failed(Time{26h}, late, false, "no answer");
  REQUIRE(warning);
  CHECK(warning->warning);
  CHECK(warning->text.find("ends soon") != std::string::npos);
  plan.renewed(end + certificate_life);
  CHECK_FALSE(plan.failed(Time{60h}, late, false, "no answer"));
}

TEST_CASE("the date of an HTTP answer is read, and rubbish is none") {
  CHECK(http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784'111'777);
  CHECK(http_date("Thu, 01 Jan 1970 00:00:00 GMT") == 0);
  CHECK(http_date("Tue, 19 Jan 2038 03:14:08 GMT") == 2'147'483'648);
  CHECK(http_date("Fri, 31 Dec 9999 23:59:59 GMT") == 253'402'300'799);
  for (const char* rubbish :
       {"", "now", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, -6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET"}) {
    INFO(rubbish);
    CHECK_FALSE(http_date(rubbish));
  }
}

TEST_CASE("a certificate of a day, or of a minute, is renewed in time") {
  for (const std::int64_t life : {day, std::int64_t{60}}) {
    INFO(life);
    std::int64_t now = 1'800'000'000, ends = now + life;
    RenewalPlan plan(ends, life);
    for (const std::int64_t stop = now + 100 * life; now < stop; now += seconds(plan.pause())) {
      REQUIRE(now < ends - life / 12);
      if (!plan.due(now, 0)) continue;
      ends = now + life;
      plan.renewed(ends);
    }
    CHECK(ends > 1'800'000'000 + 99 * life);
  }
}
