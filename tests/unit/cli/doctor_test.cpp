// What `edgefleet doctor` concludes.
#include "cli/core/doctor.hpp"

#include <algorithm>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::cli;

namespace {

constexpr std::int64_t now_ms = 1'800'000'000'000;  // 2027-01-15T08:00:00Z
constexpr const char* in_a_week = "2027-01-22T08:00:00.000Z";
constexpr const char* in_a_year = "2028-01-15T08:00:00.000Z";
constexpr const char* yesterday = "2027-01-14T08:00:00.000Z";

Document document(const std::string& text) { return *parse_document(text); }

WallTime in_days(std::int64_t days) { return WallTime{now_ms + days * 86'400'000}; }

Evidence well() {
  Evidence seen;
  seen.now = WallTime{now_ms};
  seen.url = "https://pi-1:7001";
  seen.has_login = true;
  seen.api.end = in_days(300);
  seen.clock = std::chrono::milliseconds(300);
  seen.ready = document(R"({"store":true,"broker":true})");
  seen.access = document(R"({"name":"anna","role":"admin","mqtt":{"host":"pi-1","port":8884}})");
  seen.broker = document(R"({"whose":"ours","folder":"/d/broker","state":"running","generation":"3-x","wanted":"3-x",)"
                         R"("tried_at":"2027-01-15T07:59:30.000Z","tried":4,"passes":[],"unknown":[]})");
  seen.broker_seen.end = WallTime{253'402'300'799'000};  // in 9999
  seen.enrolled = document(R"({"enrolled_agents":[{"name":"pi-2","certificate_ends_at":")" + std::string(in_a_year) +
                           R"("},{"name":"w-1","ephemeral":true,"certificate_ends_at":"2027-01-15T16:00:00.000Z"}]})");
  seen.accesses = document(R"({"accesses":[{"name":"anna"},{"name":"anna-mqtt-ab12",)"
                           R"("created_at":"2027-01-15T07:05:00.000Z","expires_at":"2027-01-15T08:05:00.000Z"}]})");
  return seen;
}

// Of one check, in order: its severities, and what was found and is to be done.
struct Conclusion {
  std::vector<Severity> severities;
  std::string text;
};
Conclusion of(const Evidence& seen, const std::string& check) {
  Conclusion found;
  for (const auto& [name, finding] : examine(seen)) {
    if (name != check) continue;
    found.severities.push_back(finding.severity);
    found.text += finding.found + " / " + finding.todo + "\n";
  }
  return found;
}

bool says(const Conclusion& found, Severity severity, const std::string& text) {
  return found.severities == std::vector{severity} && found.text.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("in a fleet that is well each check is, and there is nothing to do") {
  const auto results = examine(well());
  CHECK(worst_of(results) == Severity::ok);
  CHECK(results.size() == 9);
  const auto text = show_results(results, {0, false, {}});
  CHECK(text.ends_with("\nNothing to do.\n"));
  CHECK(text.find("to do:") == std::string::npos);
  CHECK(text.find("has no end") != std::string::npos);
}

TEST_CASE("without a setup, or without an answer, only that is said") {
  Evidence open;
  open.now = WallTime{now_ms};
  open.url = "http://127.0.0.1:7001";
  open.open = true;
  CHECK(says(of(open, "setup"), Severity::warning, "everybody on this machine may do everything"));
  CHECK(of(open, "broker files").severities.empty());
  Evidence dead;
  dead.api_problem = "cannot reach the coordinator";
  const auto results = examine(dead);
  REQUIRE(results.size() == 1);
  CHECK(worst_of(results) == Severity::problem);
  CHECK(show_results(results, {0, false, {}}).find("\nNext: start the coordinator") != std::string::npos);
  Evidence refused;
  refused.url = "https://pi-1:7001";
  refused.refusal = "the key has been revoked";
  CHECK(says(of(refused, "api"), Severity::problem, "edgefleet login https://pi-1:7001"));
}

TEST_CASE("what ends soon is named, with a month, two weeks or hours of warning") {
  Evidence seen = well();
  seen.api.end = in_days(10);
  CHECK(says(of(seen, "api"), Severity::warning, "ends 2027-01-2"));
  seen.access = document(R"({"name":"anna","role":"admin","expires_at":")" + std::string(in_a_week) + R"("})");
  CHECK(says(of(seen, "login"), Severity::warning, "access create"));
  const auto enrolled = [&](const std::string& name, const char* end, bool ephemeral) {
    seen.enrolled = document(R"({"enrolled_agents":[{"name":")" + name + R"(","certificate_ends_at":")" + end +
                             R"(","ephemeral":)" + (ephemeral ? "true" : "false") + "}]}");
    return of(seen, "agents");
  };
  CHECK(says(enrolled("pi-2", in_a_year, false), Severity::ok, ""));
  CHECK(says(enrolled("pi-2", in_a_week, false), Severity::warning, "pi-2"));
  CHECK(says(enrolled("pi-2", yesterday, false), Severity::problem, "join them again"));
  CHECK(says(enrolled("w-1", "2027-01-15T10:00:00.000Z", true), Severity::warning, "w-1"));
  const auto access = [&](const char* begin, const char* end) {
    seen.accesses = document(R"({"accesses":[{"name":"phone","created_at":")" + std::string(begin) +
                             R"(","expires_at":")" + end + R"("}]})");
    return of(seen, "accesses");
  };
  CHECK(says(access("2026-10-15T08:00:00.000Z", in_a_week), Severity::warning, "phone"));
  CHECK(
      says(access("2027-01-14T08:00:00.000Z", in_a_week), Severity::ok, "none of the 1"));  // most of its life is left
  CHECK(says(access("2026-10-15T08:00:00.000Z", yesterday), Severity::warning, "have expired: phone"));
}

TEST_CASE("clocks that differ are a warning, and a problem from a day on") {
  Evidence seen = well();
  seen.clock = -std::chrono::minutes(3);
  CHECK(says(of(seen, "clock"), Severity::warning, "3 min behind this machine's"));
  seen.clock = std::chrono::hours(50);
  CHECK(says(of(seen, "clock"), Severity::problem, "ahead of"));
}

TEST_CASE("a broker that is unreachable, stopped, down, behind, or open is told, with what to do") {
  Evidence seen = well();
  seen.broker_seen = {"cannot reach the broker", {}};
  CHECK(says(of(seen, "broker"), Severity::problem, "pi-1:8884"));
  seen.ready = document(R"({"store":true,"broker":false})");
  CHECK(of(seen, "broker").severities == std::vector{Severity::problem, Severity::problem});
  const auto with = [&](const char* more) {
    seen.broker = document(std::string(R"({"whose":"ours","folder":"/d/broker","why":"because",)") + more + "}");
    return of(seen, "broker files");
  };
  CHECK(says(with(R"("state":"stopped")"), Severity::problem, "remove /d/broker/stop"));
  CHECK(says(with(R"("state":"down")"), Severity::problem, "because"));
  CHECK(says(with(R"("state":"unknown")"), Severity::warning, "mosquitto/watch.sh /d/broker"));
  CHECK(says(with(R"("state":"running","generation":"2","wanted":"3","refused":"3")"), Severity::problem, "bad"));
  CHECK(says(with(R"("state":"running","generation":"2","wanted":"3")"), Severity::warning, "the newest is 3"));
  seen.broker = document(R"({"whose":"ours","tried_at":"2027-01-15T07:59:30.000Z","passes":["a may write b"]})");
  CHECK(says(of(seen, "broker access"), Severity::problem, "\na may write b"));
  seen.broker = document(R"({"whose":"ours","tried_at":"2027-01-15T07:00:00.000Z","passes":[],"unknown":[]})");
  CHECK(says(of(seen, "broker access"), Severity::warning, "could not try"));
}

TEST_CASE("a whole trial takes the place of what the coordinator tries by itself") {
  Evidence seen = well();
  seen.trial = document(R"({"tried":204,"passes":[],"unknown":[]})");
  CHECK(of(seen, "broker access").severities.empty());
  CHECK(says(of(seen, "broker trial"), Severity::ok, "204 acts"));
  seen.trial = document(R"({"tried":204,"passes":["x"],"unknown":["whether y"]})");
  CHECK(of(seen, "broker trial").severities == std::vector{Severity::problem, Severity::warning});
  seen.trial = {};
  seen.trial_problem = "the role admin is missing";
  CHECK(says(of(seen, "broker trial"), Severity::warning, "role admin"));
}

TEST_CASE("a login of a lower role sees less, and is told so") {
  Evidence seen = well();
  seen.access = document(R"({"name":"tv","role":"observe","mqtt":{"host":"pi-1","port":8884}})");
  seen.broker = seen.enrolled = seen.accesses = Document();
  CHECK(says(of(seen, "login"), Severity::warning, "observe"));
  CHECK(says(of(seen, "broker"), Severity::ok, "the broker at pi-1:8884"));
  CHECK(of(seen, "agents").severities.empty());
}

TEST_CASE("what comes from others does not control the terminal, and JSON has all of it") {
  Evidence seen = well();
  seen.broker = document(R"({"whose":"ours","tried_at":"2027-01-15T07:59:30.000Z","passes":["\u001b[2Jx"]})");
  const auto results = examine(seen);
  CHECK(show_results(results, {0, false, {}}).find('\x1b') == std::string::npos);
  const auto parsed = document(results_json(results));
  CHECK(text_of(parsed, "severity") == "problem");
  CHECK(member_of(parsed, "checks").size() == results.size());
}

TEST_CASE("the time of an HTTP answer is read, and nothing else") {
  CHECK(parse_http_date("Fri, 15 Jan 2027 08:00:00 GMT")->unix_ms == now_ms);
  for (const char* wrong : {"", "now", "Fri, 15 Jan 2027 08:00:00", "Fri, 15 Jan 2027 08:00:00 GMT+1"})
    CHECK_FALSE(parse_http_date(wrong));
}
