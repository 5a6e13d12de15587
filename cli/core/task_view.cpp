#include "cli/core/task_view.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "cli/core/table.hpp"
#include "cli/core/times.hpp"

namespace edgefleet::cli {
namespace {

const Document* last_attempt(const Document& task) {
  const auto& attempts = member_of(task, "attempts");
  return attempts.is_array() && !attempts.empty() ? &attempts.back() : nullptr;
}

std::string agent_of(const Document& task) {
  const auto* attempt = last_attempt(task);
  return attempt == nullptr ? std::string() : text_of(*attempt, "agent");
}

std::string age_of(const Document& object, const char* key, WallTime now) {
  const auto time = instant_of(object, key);
  return time ? show_age(now, *time) : std::string();
}

std::string ran(const Document& task) {
  const auto ms = number_of(task, "run_ms");
  return ms ? show_duration(std::chrono::milliseconds(static_cast<std::int64_t>(*ms))) : std::string();
}

// One moment of a task's life.
struct Moment {
  WallTime at;
  std::string text;
  std::string state;  // for its colour
};

// Keeps the moments sorted by time; moments of the same millisecond stay in the order in which they were added.
void add_moment(std::vector<Moment>& moments, const Document& object, const char* key, std::string text,
                std::string state) {
  const auto at = instant_of(object, key);
  if (!at) return;
  const auto later = std::upper_bound(moments.begin(), moments.end(), *at,
                                      [](const WallTime& time, const Moment& moment) { return time < moment.at; });
  moments.insert(later, {*at, std::move(text), std::move(state)});
}

std::vector<Moment> moments_of(const Document& task) {
  std::vector<Moment> moments;
  add_moment(moments, task, "accepted_at", "accepted", "");
  for (const auto& attempt : member_of(task, "attempts")) {
    const auto n = "attempt " + std::to_string(count_of(attempt, "n"));
    const auto state = text_of(attempt, "state");
    auto end = n + " " + state;
    if (const auto& error = member_of(attempt, "error"); error.is_object()) end += ": " + error_text(error);
    add_moment(moments, attempt, "assigned_at", n + " assigned to " + text_of(attempt, "agent"), "");
    add_moment(moments, attempt, "started_at", n + " started", "running");
    add_moment(moments, attempt, "ended_at", end, state);
  }
  const auto state = text_of(task, "state");
  add_moment(moments, task, "ended_at", state, state);
  return moments;
}

std::string timeline(const Document& task, const Look& look) {
  const auto moments = moments_of(task);
  if (moments.empty()) return {};
  std::string out = "timeline\n";
  for (const auto& moment : moments) {
    const auto since = std::chrono::milliseconds(moment.at.unix_ms - moments.front().at.unix_ms);
    out += "  " + pad("+" + show_duration(since), 12, true) + "  ";
    out += paint(printable(moment.text), style_of_state(moment.state), look.colour) + "\n";
  }
  return out;
}

using Facts = std::vector<std::pair<std::string, std::string>>;

std::string milliseconds_of(const Document& task, const char* key) {
  const auto ms = number_of(task, key);
  return ms ? show_duration(std::chrono::milliseconds(static_cast<std::int64_t>(*ms))) : std::string();
}

std::string size_of(const Document& file) { return show_bytes(count_of(file, "bytes")); }

Facts facts_of(const Document& task, const Look& look) {
  const auto accepted = instant_of(task, "accepted_at");
  const auto& usage = member_of(task, "usage");
  return {
      {"capability", text_of(task, "capability")},
      {"name", text_of(task, "name")},
      {"batch", text_of(task, "batch")},
      {"where", pairs_of(member_of(task, "where"))},
      {"priority", std::to_string(static_cast<int>(number_of(task, "priority").value_or(0)))},
      {"timeout", milliseconds_of(task, "timeout_ms") + " per attempt, at most " +
                      counted(count_of(task, "max_attempts"), "attempt", "attempts")},
      {"input", task.contains("input_at") ? size_of(member_of(task, "input_at")) : std::string()},
      {"accepted", accepted ? show_instant(*accepted) + " (" + show_age(look.now, *accepted) + ")" : std::string()},
      {"run", ran(task)},
      {"usage", pairs_of(usage)},
  };
}

std::string outcome_part(const Document& task, std::string_view output) {
  if (const auto& error = member_of(task, "error"); error.is_object()) return "error\n  " + error_text(error) + "\n";
  if (const auto& file = member_of(task, "output_at"); file.is_object()) {
    return "output\n  " + size_of(file) + "; print it with: edgefleet get " + printable(text_of(file, "artifact")) +
           " -o -\n";
  }
  return output.empty() ? std::string() : "output\n" + pretty(output) + "\n";
}

}  // namespace

std::string error_text(const Document& error) {
  const auto code = text_of(error, "code"), message = text_of(error, "message");
  return printable(code.empty() || message.empty() ? code + message : code + ": " + message);
}

std::string show_tasks(const Document& answer, const Look& look) {
  Table table{{{"ID"},
               {"STATE"},
               {"CAPABILITY", false, true},
               {"AGENT", false, true},
               {"ACCEPTED"},
               {"RAN", true},
               {"NAME", false, true}},
              {}};
  for (const auto& task : member_of(answer, "tasks")) {
    const auto state = text_of(task, "state");
    table.rows.push_back({text_of(task, "id"),
                          {state, style_of_state(state)},
                          text_of(task, "capability"),
                          agent_of(task),
                          age_of(task, "accepted_at", look.now),
                          ran(task),
                          text_of(task, "name")});
  }
  if (table.rows.empty()) return "no tasks\n";
  return render(table, look);
}

std::string show_task(const Document& task, std::string_view output, const Look& look) {
  const auto state = text_of(task, "state");
  std::string out =
      printable(text_of(task, "id")) + "  " + paint(printable(state), style_of_state(state), look.colour) + "\n";
  for (const auto& [name, value] : facts_of(task, look)) {
    if (!value.empty()) out += "  " + pad(name, 12, false) + printable(value) + "\n";
  }
  if (!ended_state(state)) out += "  " + pad("now", 12, false) + task_status(task) + "\n";
  return out + timeline(task, look) + outcome_part(task, output);
}

std::string show_acceptance(const Document& answer) {
  const auto state = text_of(answer, "state");
  auto text = printable(state);
  if (state != "queued" && state != "scheduled" && state != "assigned")
    return text;  // an idempotency key that was used before
  if (const auto ahead = count_of(answer, "ahead"); ahead > 0) text += ", about " + grouped(ahead) + " ahead of it";
  if (number_of(answer, "eligible_agents")) {
    const auto agents = count_of(answer, "eligible_agents");
    text += agents == 0 ? "; no agent can take it now" : "; " + counted(agents, "agent", "agents") + " can take it";
  }
  if (const auto waiting = text_of(answer, "waiting"); !waiting.empty()) text += "; waiting: " + printable(waiting);
  return text;
}

std::string task_status(const Document& task) {
  const auto state = text_of(task, "state");
  auto text = printable(state);
  if (state == "running" || state == "assigned") {
    const auto agent = printable(agent_of(task));
    if (!agent.empty()) text += (state == "running" ? " on " : " to ") + agent;
    if (const auto* attempt = last_attempt(task); attempt != nullptr && count_of(*attempt, "n") > 1) {
      text += " (attempt " + std::to_string(count_of(*attempt, "n")) + ")";
    }
  }
  if (const auto percent = number_of(member_of(task, "progress"), "percent")) {
    text += ", " + std::to_string(static_cast<int>(*percent)) + " %";
  }
  if (const auto ahead = count_of(task, "ahead"); ahead > 0) text += ", about " + grouped(ahead) + " ahead of it";
  if (const auto waiting = text_of(task, "waiting"); !waiting.empty()) text += ": " + printable(waiting);
  return text;
}

std::string task_outcome(const Document& task) {
  const auto state = text_of(task, "state");
  auto text = printable(state);
  const auto attempts = member_of(task, "attempts").size();
  const auto agent = printable(agent_of(task)), time = ran(task);
  if (state == "succeeded" && !agent.empty()) text += " on " + agent;
  if (attempts > 1) text += " after " + counted(attempts, "attempt", "attempts");
  if (state == "succeeded" && !time.empty()) text += ", ran " + time;
  if (const auto& error = member_of(task, "error"); error.is_object()) text += ": " + error_text(error);
  return text;
}

}  // namespace edgefleet::cli
