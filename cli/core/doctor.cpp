#include "cli/core/doctor.hpp"

#include <algorithm>
#include <array>
#include <ctime>

#include "cli/core/times.hpp"
#include "common/core/counts.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {
namespace {

using Findings = std::vector<Finding>;

constexpr Duration day = std::chrono::hours(24);
constexpr Duration certificate_warning = 30 * day;  // agents renew theirs months before
constexpr Duration ephemeral_warning = std::chrono::hours(4);  // they renew theirs eight hours before
constexpr Duration access_warning = 14 * day;
constexpr Duration clock_warning = std::chrono::seconds(5);
constexpr Duration oldest_trial = std::chrono::minutes(5);  // the coordinator tries each minute
constexpr std::size_t most_names = 5;
constexpr Duration unbounded = std::chrono::hours(24 * 36'500);  // a Duration has about three times as much

Finding ok(std::string found) { return {Severity::ok, std::move(found)}; }
Finding warning(std::string found, std::string todo) { return {Severity::warning, std::move(found), std::move(todo)}; }
Finding problem(std::string found, std::string todo) { return {Severity::problem, std::move(found), std::move(todo)}; }

// A certificate may end in the year 9999, which means never.
Duration between(WallTime from, WallTime to) {
  const std::int64_t most = to_ms(unbounded);
  return std::chrono::milliseconds(std::clamp(to.unix_ms - from.unix_ms, -most, most));
}

Duration left(const Evidence& seen, WallTime end) { return between(seen.now, end); }

std::string names_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), most_names); ++i) text += (i == 0 ? "" : ", ") + names[i];
  if (names.size() > most_names) text += " and " + std::to_string(names.size() - most_names) + " more";
  return text;
}

std::string end_of(const Evidence& seen, WallTime end) {
  return left(seen, end) >= unbounded ? "has no end" : "ends " + show_instant(end);
}

// ---- the API

Findings api(const Evidence& seen) {
  if (!seen.api_problem.empty()) {
    return {problem(seen.api_problem, "start the coordinator, or name another one with --url")};
  }
  if (!seen.refusal.empty()) {
    return {problem(seen.url + " refuses this login: " + seen.refusal, "edgefleet login " + seen.url)};
  }
  if (!seen.api.end) return {ok(seen.url + " answers")};
  const std::string found = seen.url + " answers, its certificate is good and " + end_of(seen, *seen.api.end);
  if (left(seen, *seen.api.end) > certificate_warning) return {ok(found)};
  return {warning(found, "see in the coordinator's log why it has not renewed it")};
}

Findings setup(const Evidence& seen) {
  if (!seen.open) return {};
  return {warning("no setup yet: everybody on this machine may do everything, without a credential",
                  "before other machines take part, run edgefleet-coordinator setup, with the coordinator stopped")};
}

Findings store(const Evidence& seen) {
  if (seen.ready.is_null() || !seen.ready.contains("store")) return {};
  if (!flag_of(seen.ready, "store")) return {problem("the coordinator's store fails", "see the coordinator's log")};
  const std::string notice = text_of(seen.ready, "notice");
  if (!notice.empty()) return {warning(notice, "make room on the coordinator's disk, or run edgefleet release")};
  return {ok("the coordinator's store works")};
}

Findings login(const Evidence& seen) {
  if (seen.access.is_null()) return {};
  const std::string role = text_of(seen.access, "role");
  const std::string who = text_of(seen.access, "name") + ", role " + role;
  const auto end = instant_of(seen.access, "expires_at");
  if (role != "operate" && role != "admin") {
    return {warning(who + ": it does not see the broker, agents' certificates and accesses",
                    "run this with an access of the role operate or admin")};
  }
  if (!end) return {ok(who + ", without an end")};
  if (left(seen, *end) > access_warning) return {ok(who + ", until " + show_instant(*end))};
  return {warning(who + ", ends " + show_instant(*end), "make a new access before: edgefleet access create")};
}

Findings clock(const Evidence& seen) {
  if (!seen.clock) return {};
  const Duration size = *seen.clock < Duration{0} ? -*seen.clock : *seen.clock;
  const std::string direction = *seen.clock < Duration{0} ? " behind" : " ahead of";
  if (size < clock_warning) return {ok("this machine and the coordinator have the same time")};
  const std::string found = "the coordinator's clock is " + show_duration(size) + direction + " this machine's";
  const std::string todo = "set the clock of the machine that is wrong (timedatectl)";
  return {size < day ? warning(found, todo) : problem(found, todo)};
}

// ---- the broker

Findings broker(const Evidence& seen) {
  Findings all;
  if (seen.ready.contains("broker") && !flag_of(seen.ready, "broker")) {
    all.push_back(problem("the coordinator has no connection to the broker",
                          "see the coordinator's log, and whether the broker runs"));
  }
  const Document& access = member_of(seen.access, "mqtt");
  const std::string host = text_of(access, "host");
  if (host.empty()) return all;
  const std::string whose = text_of(seen.broker, "whose") == "theirs" ? "somebody else's broker at " : "our broker at ";
  const std::string where =
      (seen.broker.is_null() ? "the broker at " : whose) + host + ":" + std::to_string(count_of(access, "port"));
  if (!seen.broker_seen.problem.empty()) {
    all.push_back(problem(where + ", where accesses are sent to: " + seen.broker_seen.problem,
                          "start the broker; if it has another address, run edgefleet-coordinator setup with it"));
  } else if (seen.broker_seen.end) {
    const std::string found = where + " answers, its certificate is good and " + end_of(seen, *seen.broker_seen.end);
    const bool soon = left(seen, *seen.broker_seen.end) < certificate_warning;
    all.push_back(soon ? warning(found, "renew the broker's certificate") : ok(found));
  }
  return all;
}

Findings broker_files(const Evidence& seen) {
  if (seen.broker.is_null() || text_of(seen.broker, "whose") != "ours") return {};
  const std::string state = text_of(seen.broker, "state");
  const std::string why = text_of(seen.broker, "why");
  const std::string folder = text_of(seen.broker, "folder");
  const std::string because = why.empty() ? "" : ": " + why;
  if (state == "stopped") {
    return {problem("the broker is stopped" + because,
                    "when its files are right, remove " + folder + "/stop on the coordinator's machine")};
  }
  if (state == "down") return {problem("the broker does not run" + because, "see the log of mosquitto/watch.sh")};
  if (state != "running") {
    return {warning("nothing is known of the broker: mosquitto/watch.sh does not report, or has not begun",
                    "run mosquitto/watch.sh " + folder)};
  }
  const std::string generation = text_of(seen.broker, "generation");
  const std::string wanted = text_of(seen.broker, "wanted");
  if (!text_of(seen.broker, "refused").empty()) {
    return {problem("the broker goes on with its former files, because the new ones are bad" + because,
                    "see the log of mosquitto/watch.sh; what was revoked since may still be good at the broker")};
  }
  if (generation == wanted) return {ok("the broker works with the newest of its files, generation " + generation)};
  return {warning("the broker works with generation " + generation + " of its files, the newest is " + wanted,
                  "run this again in some seconds; if it stays so, see the log of mosquitto/watch.sh")};
}

std::string lines_of(const Document& list) {
  std::vector<std::string> texts;
  for (const auto& one : list) {
    if (one.is_string()) texts.push_back(one.get<std::string>());
  }
  std::string text;
  for (const auto& one : texts) text += "\n" + one;
  return text;
}

std::string todo_for_passing(const Evidence& seen) {
  if (text_of(seen.broker, "whose") == "theirs") {
    return "give the broker the access lists that edgefleet-coordinator setup has written";
  }
  return "restart the broker, and see the log of mosquitto/watch.sh";
}

// What the coordinator tries by itself.
Findings refusals(const Evidence& seen) {
  if (seen.broker.is_null() || !seen.trial.is_null()) return {};
  const auto at = instant_of(seen.broker, "tried_at");
  if (!at) return {warning("what the broker must refuse has not been tried yet", "run this again in a minute")};
  const Document& passes = member_of(seen.broker, "passes");
  if (!passes.empty()) {
    return {problem("the broker lets through what it must refuse:" + lines_of(passes), todo_for_passing(seen))};
  }
  if (between(*at, seen.now) > oldest_trial || !member_of(seen.broker, "unknown").empty()) {
    return {warning("the coordinator could not try what the broker must refuse: since " + show_instant(*at),
                    "see the coordinator's log")};
  }
  return {ok("the broker refused what it must, " + show_age(seen.now, *at))};
}

// All of it, with --broker.
Findings trial(const Evidence& seen) {
  if (!seen.trial_problem.empty()) {
    return {warning("what the broker must refuse was not tried: " + seen.trial_problem,
                    "run edgefleet doctor --broker with an access of the role admin")};
  }
  if (seen.trial.is_null()) return {};
  const std::string tried = grouped(count_of(seen.trial, "tried")) + " acts tried";
  Findings all;
  if (const Document& passes = member_of(seen.trial, "passes"); !passes.empty()) {
    all.push_back(problem("the broker lets through what it must refuse (" + tried + "):" + lines_of(passes),
                          todo_for_passing(seen)));
  }
  if (const Document& unknown = member_of(seen.trial, "unknown"); !unknown.empty()) {
    all.push_back(warning("of some acts it is not known whether the broker refuses them:" + lines_of(unknown),
                          "run edgefleet doctor --broker again, when the broker works"));
  }
  if (all.empty()) all.push_back(ok("the broker refuses all that it must: " + tried));
  return all;
}

// ---- what ends

Findings agents(const Evidence& seen) {
  if (seen.enrolled.is_null()) return {};
  std::vector<std::string> ended;
  std::vector<std::string> ending;
  const Document& all = member_of(seen.enrolled, "enrolled_agents");
  for (const auto& agent : all) {
    const auto end = instant_of(agent, "certificate_ends_at");
    if (!end) continue;
    const auto soon = flag_of(agent, "ephemeral") ? ephemeral_warning : certificate_warning;
    if (left(seen, *end) <= Duration{0}) {
      ended.push_back(text_of(agent, "name"));
    } else if (left(seen, *end) < soon) {
      ending.push_back(text_of(agent, "name") + " (" + show_instant(*end) + ")");
    }
  }
  Findings found;
  if (!ended.empty()) {
    found.push_back(problem("the certificates of agents have ended: " + names_of(ended),
                            "join them again: edgefleet-agent join --again, with a token of join-token create"));
  }
  if (!ending.empty()) {
    found.push_back(warning("the certificates of agents end soon: " + names_of(ending),
                            "start these agents: they renew their certificates themselves"));
  }
  if (found.empty()) {
    found.push_back(ok(all.empty() ? "no agents have joined"
                                   : "no certificate of the " + grouped(all.size()) + " agents ends soon"));
  }
  return found;
}

Findings accesses(const Evidence& seen) {
  if (seen.accesses.is_null()) return {};
  std::vector<std::string> ended;
  std::vector<std::string> ending;
  const Document& all = member_of(seen.accesses, "accesses");
  for (const auto& access : all) {
    const auto end = instant_of(access, "expires_at");
    const auto begin = instant_of(access, "created_at");
    if (!end) continue;
    const Duration life = begin ? between(*begin, *end) : Duration{0};
    if (life < day) continue;  // meant to be short
    if (left(seen, *end) <= Duration{0}) {
      ended.push_back(text_of(access, "name"));
    } else if (left(seen, *end) < std::min(access_warning, life / 4)) {
      ending.push_back(text_of(access, "name") + " (" + show_instant(*end) + ")");
    }
  }
  Findings found;
  if (!ended.empty()) {
    found.push_back(
        warning("accesses have expired: " + names_of(ended), "who still needs one: edgefleet access create"));
  }
  if (!ending.empty()) {
    found.push_back(warning("accesses expire soon: " + names_of(ending),
                            "who still needs one: edgefleet access create, with another name"));
  }
  if (found.empty()) found.push_back(ok("none of the " + grouped(all.size()) + " accesses expires soon"));
  return found;
}

// clang-format off
constexpr std::array<Check, 11> checks = {{
    {"api", api},
    {"setup", setup},
    {"store", store},
    {"login", login},
    {"clock", clock},
    {"broker", broker},
    {"broker files", broker_files},
    {"broker access", refusals},
    {"broker trial", trial},
    {"agents", agents},
    {"accesses", accesses},
}};
// clang-format on

Style style_of(Severity severity) {
  switch (severity) {
    case Severity::ok:
      return Style::good;
    case Severity::warning:
      return Style::warn;
    case Severity::problem:
      break;
  }
  return Style::bad;
}

// The lines of a text, each as it can be shown.
std::vector<std::string> printable_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    lines.push_back(printable(text.substr(begin, end - begin)));
    begin = end + 1;
  }
  return lines;
}

const Examined* first_with(const std::vector<Examined>& results, Severity severity) {
  const auto found =
      std::ranges::find_if(results, [&](const Examined& one) { return one.finding.severity == severity; });
  return found == results.end() ? nullptr : &*found;
}

std::string next_step(const std::vector<Examined>& results) {
  for (const Severity severity : {Severity::problem, Severity::warning}) {
    if (const Examined* one = first_with(results, severity)) return "Next: " + printable(one->finding.todo);
  }
  return "Nothing to do.";
}

}  // namespace

std::string_view to_string(Severity severity) {
  constexpr std::array<std::string_view, 3> names = {"ok", "warning", "problem"};
  return names.at(static_cast<std::size_t>(severity));
}

std::span<const Check> doctor_checks() { return checks; }

std::vector<Examined> examine(const Evidence& evidence) {
  std::vector<Examined> results;
  for (const Check& check : checks) {
    for (Finding& finding : check.judge(evidence)) results.push_back({check.name, std::move(finding)});
  }
  return results;
}

Severity worst_of(const std::vector<Examined>& results) {
  Severity worst = Severity::ok;
  for (const Examined& one : results) worst = std::max(worst, one.finding.severity);
  return worst;
}

std::string show_results(const std::vector<Examined>& results, const Look& look) {
  constexpr std::size_t severity_width = 9;
  constexpr std::size_t name_width = 15;
  const std::string indent(severity_width + name_width, ' ');
  std::string text;
  for (const auto& [name, finding] : results) {
    const auto severity = pad(std::string(to_string(finding.severity)), severity_width, false);
    text += paint(severity, style_of(finding.severity), look.colour) + pad(name, name_width, false);
    const auto lines = printable_lines(finding.found);
    for (std::size_t i = 0; i < lines.size(); ++i) text += (i == 0 ? "" : indent + "  ") + lines[i] + "\n";
    if (!finding.todo.empty()) text += indent + "to do: " + printable(finding.todo) + "\n";
  }
  return text + next_step(results) + "\n";
}

std::string results_json(const std::vector<Examined>& results) {
  std::string body;
  {
    json::ObjectWriter answer(body);
    answer.string("severity", to_string(worst_of(results)));
    json::ArrayWriter array(answer.key("checks"));
    for (const auto& [name, finding] : results) {
      json::ObjectWriter object(array.next());
      object.string("name", name);
      object.string("severity", to_string(finding.severity));
      object.string("found", finding.found);
      if (!finding.todo.empty()) object.string("todo", finding.todo);
    }
  }
  return body;
}

std::optional<WallTime> parse_http_date(const std::string& text) {
  std::tm date{};
  const char* end = ::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return WallTime{static_cast<std::int64_t>(::timegm(&date)) * 1000};
}

}  // namespace edgefleet::cli
