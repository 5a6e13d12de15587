#include "cli/core/status_view.hpp"

#include <algorithm>
#include <map>

#include "cli/core/fleet_view.hpp"
#include "common/core/counts.hpp"

namespace edgefleet::cli {
namespace {

std::string fact(const std::string& name, const std::string& value) { return pad(name, 13, false) + value + "\n"; }

std::string coordinator_part(const std::string& url, const Document& ready, const Look& look) {
  std::string problems;
  const auto add = [&](const std::string& what) { problems += (problems.empty() ? "" : ", ") + what; };
  if (!flag_of(ready, "store")) add("its store fails");
  if (!flag_of(ready, "broker")) add("it has no connection to the broker");
  const auto state =
      problems.empty() ? paint("works", Style::good, look.colour) : paint(problems, Style::bad, look.colour);
  auto notice = text_of(ready, "notice");
  return fact("coordinator", printable(url) + "  " + state) + (notice.empty() ? "" : fact("", printable(notice)));
}

// "3 online, 1 overheated, 2 lost"
std::string agents_part(const Document& agents, const Look& look) {
  std::map<std::string, std::uint64_t> states;
  for (const auto& agent : member_of(agents, "agents")) ++states[printable(state_of_agent(agent))];
  if (states.empty()) return fact("agents", no_agents);
  std::string text;
  for (const auto& [state, count] : states) {
    text += (text.empty() ? "" : ", ") + paint(grouped(count) + " " + state, style_of_state(state), look.colour);
  }
  return fact("agents", text);
}

std::string problems_part(const Document& agents, const Look& look) {
  std::string text;
  for (const auto& agent : member_of(agents, "agents")) {
    for (const auto& problem : problems_of_agent(agent)) text += paint(problem, Style::bad, look.colour) + "\n";
  }
  return text;
}

std::string tasks_part(const Document& queue) {
  auto text = fact("tasks",
                   grouped(count_of(queue, "queued")) + " queued, " + grouped(count_of(queue, "running")) + " running");
  for (const auto& line : member_of(queue, "queues")) {
    const auto waiting = text_of(line, "waiting");
    if (waiting.empty()) continue;
    text += fact("", grouped(count_of(line, "queued")) + " " + printable(text_of(line, "capability") + ": " + waiting));
  }
  return text;
}

}  // namespace

bool works(const Document& ready) { return flag_of(ready, "store") && flag_of(ready, "broker"); }

std::string show_status(const std::string& url, const FleetAnswers& answers, const Look& look) {
  return coordinator_part(url, answers.ready, look) + agents_part(answers.agents, look) + tasks_part(answers.queue) +
         problems_part(answers.agents, look);
}

}  // namespace edgefleet::cli
