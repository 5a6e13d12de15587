#include "cli/core/fleet_view.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>
#include <vector>

#include "cli/core/table.hpp"
#include "cli/core/times.hpp"

namespace edgefleet::cli {
namespace {

std::string decimal(const char* pattern, double value) {
  std::array<char, 48> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), pattern, value);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

std::string joined(const Document& strings, const char* separator) {
  std::string text;
  for (const auto& element : strings) {
    if (!element.is_string()) continue;
    if (!text.empty()) text += separator;
    text += element.get<std::string>();
  }
  return text;
}

std::uint64_t taken(const Document& executor) {
  const auto slots = count_of(executor, "slots");
  return slots - std::min(slots, count_of(executor, "free"));
}

// Heat closes slots that have no task, and tasks can wait on the agent without a slot: the smaller number is busy.
std::string slots_of(const Document& agent) {
  std::uint64_t slots = 0;
  std::uint64_t used = 0;
  for (const auto& executor : member_of(agent, "executors")) {
    slots += count_of(executor, "slots");
    used += taken(executor);
  }
  return std::to_string(std::min(used, count_of(agent, "tasks"))) + "/" + std::to_string(slots);
}

std::string celsius_of(const Document& agent) {
  const auto celsius = number_of(agent, "celsius");
  return celsius ? decimal("%.1f C", *celsius) : std::string();
}

// In the table, three or more of one family are one entry: "image.* (5)".
std::string capabilities_of(const Document& agent) {
  std::map<std::string, std::vector<std::string>> families;
  for (const auto& executor : member_of(agent, "executors")) {
    for (const auto& element : member_of(executor, "capabilities")) {
      if (!element.is_string()) continue;
      const auto name = element.get<std::string>();
      families[name.substr(0, name.rfind('.'))].push_back(name);
    }
  }
  std::string text;
  const auto add = [&text](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
  for (const auto& [family, names] : families) {
    if (names.size() > 2) {
      add(family + ".* (" + std::to_string(names.size()) + ")");
    } else {
      for (const auto& name : names) add(name);
    }
  }
  return text;
}

std::string beat_of(const Document& agent) {
  const auto ms = number_of(agent, "last_heartbeat_ms");
  if (!ms) return {};
  return show_age(WallTime{static_cast<std::int64_t>(*ms)}, WallTime{0});
}

std::string trend_of(const Document& agent) {
  const auto trend = number_of(agent, "trend_per_minute");
  return trend && number_of(agent, "celsius") ? decimal("%+.1f", *trend) : std::string();
}

// The flags of the firmware that describe the present, not the past.
std::string throttled_now(const Document& agent) {
  std::string text;
  for (const auto& flag : member_of(agent, "throttled")) {
    const auto word = flag.is_string() ? flag.get<std::string>() : std::string();
    if (word.size() > 4 && word.substr(word.size() - 4) == " now") text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string temperature_of(const Document& agent) {
  const auto celsius = celsius_of(agent);
  if (celsius.empty()) return {};
  const auto trend = number_of(agent, "trend_per_minute");
  auto text = celsius + (trend ? decimal(", %+.1f C per minute", *trend) : std::string());
  const auto throttled = joined(member_of(agent, "throttled"), ", ");
  const auto sensor = text_of(agent, "sensor");
  if (!sensor.empty()) text += ", measured by " + sensor;
  return text + (throttled.empty() ? "" : "; firmware: " + throttled);
}

std::string machine_of(const Document& agent) {
  std::string text;
  for (const char* key : {"board", "arch", "os"}) {
    const auto part = text_of(agent, key);
    if (!part.empty()) text += (text.empty() ? "" : ", ") + part;
  }
  return text;
}

std::string size_of(const Document& agent) {
  const auto cpus = count_of(agent, "cpus"), memory = count_of(agent, "memory_bytes");
  std::string text = cpus == 0 ? std::string() : counted(cpus, "core", "cores");
  if (memory > 0) text += (text.empty() ? "" : ", ") + show_bytes(memory) + " of memory";
  if (const auto load = number_of(agent, "load")) text += (text.empty() ? "load " : ", load ") + decimal("%.2f", *load);
  return text;
}

std::string free_of(const Document& agent) {
  const auto memory = count_of(agent, "free_memory_bytes"), disk = count_of(agent, "free_disk_bytes");
  std::string text = memory == 0 ? std::string() : show_bytes(memory) + " of memory";
  if (disk > 0) text += (text.empty() ? "" : ", ") + show_bytes(disk) + " of disk";
  return text;
}

std::string gpus_of(const Document& agent) {
  std::string text;
  for (const auto& gpu : member_of(agent, "gpus")) {
    text += (text.empty() ? "" : "; ") + text_of(gpu, "name");
    if (const auto memory = count_of(gpu, "memory_bytes"); memory > 0) text += ", " + show_bytes(memory);
    if (const auto celsius = number_of(gpu, "celsius")) text += decimal(", %.0f C", *celsius);
  }
  return text;
}

// Since the start of its program.
std::string done_of(const Document& agent) {
  const auto uptime = number_of(agent, "uptime_ms");
  if (!uptime) return {};
  return grouped(count_of(agent, "succeeded")) + " succeeded, " + grouped(count_of(agent, "failed")) + " failed in " +
         show_duration(std::chrono::milliseconds(static_cast<std::int64_t>(*uptime)));
}

std::string skew_of(const Document& agent) {
  const auto skew = number_of(agent, "skew_ms");
  if (!skew) return {};
  const auto amount = show_duration(std::chrono::milliseconds(static_cast<std::int64_t>(std::abs(*skew))));
  return amount + (*skew < 0 ? " behind the coordinator's clock" : " ahead of the coordinator's clock");
}

// Since the start of its program.
std::string config_of(const Document& agent) {
  const auto reload = reload_of(agent);
  if (reload.reloads == 0) return {};
  std::string text = "read again " + counted(reload.reloads, "time", "times");
  if (!reload.problem.empty()) return text + "; the last one is not in use: " + reload.problem;
  text += "; the last time: " + (reload.changes.empty() ? "nothing has changed" : reload.changes);
  const auto restart = text_of(member_of(agent, "config"), "restart");
  return text + (restart.empty() ? "" : "; needs a restart: " + restart);
}

Facts facts_of(const Document& agent, const Look& look) {
  const auto since = instant_of(agent, "since");
  return {
      {"session", text_of(agent, "session") +
                      (since ? ", since " + show_instant(*since) + " (" + show_age(look.now, *since) + ")" : "")},
      {"heartbeat", beat_of(agent)},
      {"clock", skew_of(agent)},
      {"heat", temperature_of(agent)},
      {"policy", text_of(agent, "policy")},
      {"sensor", text_of(agent, "sensor_problem")},
      {"slots", slots_of(agent) + " busy"},
      {"tasks", std::to_string(count_of(agent, "tasks"))},
      {"done", done_of(agent)},
      {"config", config_of(agent)},
      {"labels", pairs_of(member_of(agent, "labels"))},
      {"address", text_of(agent, "address")},
      {"machine", machine_of(agent)},
      {"size", size_of(agent)},
      {"free", free_of(agent)},
      {"gpus", gpus_of(agent)},
      {"version", text_of(agent, "version")},
  };
}

// Problems and notices are sentences: below the table they are complete on any terminal.
std::string executors_part(const Document& agent, const Look& look) {
  Table table{{{"EXECUTOR"}, {"STATE"}, {"SLOTS", true}, {"FREE", true}, {"CAPABILITIES", false, true}}, {}};
  std::string remarks;
  for (const auto& executor : member_of(agent, "executors")) {
    const auto name = text_of(executor, "name");
    const auto problem = text_of(executor, "problem"), notice = text_of(executor, "notice");
    const bool serves = problem.empty();
    table.rows.push_back({name,
                          {serves ? "in service" : "out of service", serves ? Style::good : Style::bad},
                          std::to_string(count_of(executor, "slots")),
                          std::to_string(count_of(executor, "free")),
                          joined(member_of(executor, "capabilities"), ", ")});
    if (!serves) remarks += paint(printable(name + ": " + problem), Style::bad, look.colour) + "\n";
    if (!notice.empty()) remarks += printable(name + ": " + notice) + "\n";
  }
  return table.rows.empty() ? std::string() : "\n" + render(table, look) + remarks;
}

std::string running_part(const Document& agent, const Look& look) {
  Table table{{{"TASK"}, {"ATTEMPT", true}, {"CAPABILITY"}, {"PHASE"}}, {}};
  for (const auto& task : member_of(agent, "running")) {
    const auto phase = text_of(task, "phase");
    table.rows.push_back({text_of(task, "id"),
                          std::to_string(count_of(task, "attempt")),
                          text_of(task, "capability"),
                          {phase, style_of_state(phase)}});
  }
  return table.rows.empty() ? std::string() : "\n" + render(table, look);
}

bool gone(const std::string& state) { return state == "lost" || state == "offline"; }

Table agents_table() {
  return {{{"NAME"},
           {"STATE"},
           {"BUSY", true},
           {"TEMP", true},
           {"C/MIN", true},
           {"POLICY"},
           {"TASKS", true},
           {"BEAT"},
           {"CAPABILITIES", false, true}},
          {}};
}

void add_agent(Table& table, const Document& agent) {
  const auto state = state_of_agent(agent), policy = text_of(agent, "policy");
  table.rows.push_back({text_of(agent, "name"),
                        {state, style_of_state(state)},
                        slots_of(agent),
                        celsius_of(agent),
                        trend_of(agent),
                        {policy, style_of_state(policy)},
                        std::to_string(count_of(agent, "tasks")),
                        beat_of(agent),
                        capabilities_of(agent)});
}

// Those that are gone, apart: they take part in nothing.
std::string gone_part(const std::vector<const Document*>& agents, const Look& look) {
  if (agents.empty()) return {};
  Table table{{{"GONE"}, {"STATE"}, {"SINCE"}, {"TASKS", true}, {"OFFERED", false, true}}, {}};
  for (const auto* agent : agents) {
    const auto state = text_of(*agent, "state");
    const auto since = instant_of(*agent, "since");
    table.rows.push_back({text_of(*agent, "name"),
                          {state, style_of_state(state)},
                          since ? show_age(look.now, *since) : std::string(),
                          std::to_string(count_of(*agent, "tasks")),
                          capabilities_of(*agent)});
  }
  return render(table, look);
}

// By name, in which numbers count as numbers: pi-2 before pi-10.
bool before(const Document* a, const Document* b) { return natural_less(text_of(*a, "name"), text_of(*b, "name")); }

}  // namespace

std::string state_of_agent(const Document& agent) {
  const auto state = text_of(agent, "state");
  return flag_of(agent, "drained") && state == "online" ? "draining" : state;
}

std::vector<std::string> problems_of_agent(const Document& agent) {
  std::vector<std::string> problems;
  if (gone(text_of(agent, "state"))) return problems;
  const auto add = [&](const std::string& what) {
    if (!what.empty()) problems.push_back(printable(text_of(agent, "name") + ": " + what));
  };
  add(text_of(agent, "sensor_problem"));
  const auto bad_file = reload_of(agent).problem;
  add(bad_file.empty() ? "" : "its new configuration is not in use: " + bad_file);
  const auto throttled = throttled_now(agent);
  add(throttled.empty() ? "" : "its firmware reports: " + throttled);
  for (const auto& executor : member_of(agent, "executors")) {
    const auto problem = text_of(executor, "problem");
    add(problem.empty() ? "" : text_of(executor, "name") + " is out of service: " + problem);
    const auto notice = text_of(executor, "notice");
    add(notice.empty() ? "" : text_of(executor, "name") + ": " + notice);
  }
  return problems;
}

std::string show_drained(const Document& answer, const Look& look) {
  const auto state = text_of(answer, "state");
  auto text = printable(text_of(answer, "name")) + "  " + paint(printable(state), style_of_state(state), look.colour);
  const bool drained = flag_of(answer, "drained");
  if (gone(state)) text += drained ? ", drained" : ", not drained";
  if (const auto tasks = count_of(answer, "tasks"); drained && tasks > 0) {
    text += "; " + counted(tasks, "task that it has goes on", "tasks that it has go on");
  }
  return text;
}

Reload reload_of(const Document& agent) {
  const auto& config = member_of(agent, "config");
  return {count_of(config, "reloads"), text_of(config, "problem"), text_of(config, "changes")};
}

std::string show_reload(const Document& agent, const Look&) {
  const auto changes = reload_of(agent).changes;
  const auto restart = text_of(member_of(agent, "config"), "restart");
  return printable(text_of(agent, "name") + "  " + (changes.empty() ? "nothing has changed" : changes) +
                   (restart.empty() ? "" : "; needs a restart: " + restart));
}

std::string show_agents(const Document& answer, const Look& look) {
  std::vector<const Document*> present, away;
  for (const auto& agent : member_of(answer, "agents")) {
    (gone(text_of(agent, "state")) ? away : present).push_back(&agent);
  }
  if (present.empty() && away.empty()) return no_agents + "\n";
  std::sort(present.begin(), present.end(), before);
  std::sort(away.begin(), away.end(), before);
  auto table = agents_table();
  std::string problems;
  for (const auto* agent : present) {
    add_agent(table, *agent);
    for (const auto& problem : problems_of_agent(*agent)) problems += paint(problem, Style::bad, look.colour) + "\n";
  }
  const auto gone_ones = gone_part(away, look);
  return (present.empty() ? "no agent is connected\n" : render(table, look)) + problems +
         (gone_ones.empty() ? "" : "\n" + gone_ones);
}

std::string show_agent(const Document& agent, const Look& look) {
  const auto state = state_of_agent(agent);
  std::string out =
      printable(text_of(agent, "name")) + "  " + paint(printable(state), style_of_state(state), look.colour) + "\n";
  for (const auto& [name, value] : facts_of(agent, look)) {
    if (!value.empty()) out += "  " + pad(name, 11, false) + printable(value) + "\n";
  }
  return out + executors_part(agent, look) + running_part(agent, look);
}

std::string show_queue(const Document& answer, const Look& look) {
  Table table{
      {{"CAPABILITY", false, true}, {"WHERE", false, true}, {"QUEUED", true}, {"RUNNING", true}, {"AGENTS", true}}, {}};
  std::string reasons;
  for (const auto& queue : member_of(answer, "queues")) {
    const auto capability = text_of(queue, "capability"), where = pairs_of(member_of(queue, "where"));
    table.rows.push_back({capability, where, grouped(count_of(queue, "queued")), grouped(count_of(queue, "running")),
                          grouped(count_of(queue, "eligible_agents"))});
    const auto waiting = text_of(queue, "waiting");
    if (waiting.empty()) continue;
    reasons += printable(capability + (where.empty() ? "" : " (" + where + ")") + " waits: " + waiting) + "\n";
  }
  const auto sums =
      grouped(count_of(answer, "queued")) + " queued, " + grouped(count_of(answer, "running")) + " running\n";
  auto notice = text_of(answer, "notice");
  if (!notice.empty()) notice = printable(notice) + "\n";
  return (table.rows.empty() ? std::string() : render(table, look)) + reasons + sums + notice;
}

}  // namespace edgefleet::cli
