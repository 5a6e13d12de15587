#include "coordinator/core/explain.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <vector>

#include "common/core/nearest.hpp"
#include "common/core/where.hpp"
#include "coordinator/core/fleet.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t most_labels_compared = 1000;  // agents whose labels are looked at for a suggestion

bool meets(const ExecutorView& view, const Where& where) {
  return std::all_of(where.begin(), where.end(),
                     [&](const auto& condition) { return Placement::meets(view, condition.first, condition.second); });
}

// The reason why an executor of an agent cannot take a task now.
enum class Obstacle {
  none,
  busy,
  full,
  reserved,
  resting,
  out_of_service,
  overheated,
  draining,
  drained,
  unreachable,
  not_reporting,
};
struct Hindrance {
  Obstacle what = Obstacle::none;
  std::string_view problem;  // of an executor that is resting or out of service
  friend auto operator<=>(const Hindrance&, const Hindrance&) = default;
};

Obstacle obstacle_of(AgentState state) {
  switch (state) {
    case AgentState::overheated:
      return Obstacle::overheated;
    case AgentState::draining:
      return Obstacle::draining;
    case AgentState::lost:  // those that are gone are not explained
    case AgentState::offline:
    case AgentState::online:
      break;
  }
  return Obstacle::none;
}

// The reason why an online agent cannot be given a task.
Obstacle obstacle_of(const Agent& agent) {
  if (agent.unreachable_until) return Obstacle::unreachable;
  const bool full = agent.info && agent.info->max_tasks > 0 &&
                    agent.attempts.size() >= static_cast<std::size_t>(agent.info->max_tasks);
  return full ? Obstacle::busy : Obstacle::not_reporting;
}

Hindrance hindrance(const State& state, const Agent& agent, const ExecutorView& view) {
  if (const auto what = obstacle_of(agent.status.state); what != Obstacle::none) return {what, {}};
  if (agent.drained) return {Obstacle::drained, {}};
  if (!placeable(state, agent)) return {obstacle_of(agent), {}};
  if (!view.info.problem.empty()) {
    return {view.info.rests ? Obstacle::resting : Obstacle::out_of_service, view.info.problem};
  }
  if (view.slots == 0) {
    const bool hot = agent.temperature && agent.temperature->policy != HeatPolicy::normal;
    return {hot ? Obstacle::overheated : Obstacle::full, {}};
  }
  if (view.reserved) return {Obstacle::reserved, {}};
  return {view.assigned >= view.slots ? Obstacle::busy : Obstacle::none, {}};
}

// Whether the obstacle ends by itself.
bool can_serve(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::none:
    case Obstacle::busy:
    case Obstacle::full:
    case Obstacle::reserved:
    case Obstacle::resting:
      return true;
    case Obstacle::out_of_service:
    case Obstacle::overheated:
    case Obstacle::draining:
    case Obstacle::drained:
    case Obstacle::unreachable:
    case Obstacle::not_reporting:
      return false;
  }
  return false;
}

std::string text_of(const Hindrance& hindrance) {
  switch (hindrance.what) {
    case Obstacle::none:
      return "";
    case Obstacle::busy:
      return "busy";
    case Obstacle::full:
      return "full";
    case Obstacle::reserved:
      return "reserved for a task that must run alone";
    case Obstacle::resting:
      return "resting (" + std::string(hindrance.problem) + ")";
    case Obstacle::out_of_service:
      return "out of service (" + std::string(hindrance.problem) + ")";
    case Obstacle::overheated:
      return "paused for heat";
    case Obstacle::draining:
      return "draining";
    case Obstacle::drained:
      return "drained";
    case Obstacle::unreachable:
      return "online, but not receiving its tasks (check its permission to read its topics below tasks/)";
    case Obstacle::not_reporting:
      return "not yet reporting to this coordinator";
  }
  return "";
}

std::string agents(std::size_t n) { return std::to_string(n) + (n == 1 ? " agent" : " agents"); }

std::string list_conditions(const Where& where) {
  std::string text;
  for (const auto& [name, value] : where) text += (text.empty() ? "" : ", ") + show_condition(name, value);
  return text;
}

using Views = std::vector<const ExecutorView*>;

// "the largest there is has 2048 (pi-3)"
std::string nearest_size(const Views& views, const std::string& key, Comparison how) {
  const bool smallest = how == Comparison::less || how == Comparison::at_most;
  const ExecutorView* best = nullptr;
  const auto size = [&](const ExecutorView& view) { return size_named(key, view.size).value_or(0); };
  for (const ExecutorView* view : views) {
    const bool nearer = best == nullptr || (smallest ? size(*view) < size(*best) : size(*view) > size(*best));
    if (nearer) best = view;
  }
  if (best == nullptr) return {};
  return std::string("the ") + (smallest ? "smallest " : "largest ") + key +
         " there is: " + std::to_string(size(*best)) + " (" + best->agent_name.str() + ")";
}

// "none has a label memoy; did you mean memory?"
std::string nearest_label(const Views& views, const std::string& key) {
  std::set<std::string> names(reserved_keys().begin(), reserved_keys().end());
  std::set<const Labels*> seen;  // executors of one agent share theirs
  for (const ExecutorView* view : views) {
    if (view->labels == nullptr || !seen.insert(view->labels.get()).second) continue;
    if (view->labels->count(key) > 0) return {};
    if (seen.size() > most_labels_compared) continue;
    for (const auto& [name, value] : *view->labels) names.insert(name);
  }
  const auto near = nearest(key, {names.begin(), names.end()});
  return "none has a label " + key + (near ? "; did you mean " + *near + "?" : "");
}

// For each condition that nobody meets: what there is instead.
std::string instead(const Views& views, const Where& where) {
  std::string text;
  for (const auto& [key, value] : where) {
    const bool met = std::any_of(views.begin(), views.end(), [&, &name = key, &wanted = value](const auto* view) {
      return Placement::meets(*view, name, wanted);
    });
    if (met || key == "agent" || key == "model") continue;
    const auto size = parse_size_condition(value);
    const auto hint = !is_size(key) ? nearest_label(views, key) : size ? nearest_size(views, key, size->how) : "";
    if (!hint.empty()) text += "; " + hint;
  }
  return text;
}

constexpr std::size_t most_named = 3;

// "pi-1 (lost), pi-2 (offline)"
std::string list_agents(const State& state, std::vector<AgentIndex> agents) {
  std::sort(agents.begin(), agents.end());
  agents.erase(std::unique(agents.begin(), agents.end()), agents.end());
  std::string text;
  for (std::size_t i = 0; i < std::min(agents.size(), most_named); ++i) {
    const Agent& agent = state.agents[agents[i]];
    text += (i > 0 ? ", " : "") + agent.name.str() + " (" + std::string(to_string(agent.status.state)) + ")";
  }
  if (agents.size() > most_named) text += " and " + std::to_string(agents.size() - most_named) + " more";
  return text;
}

// `away`: those that are gone and would meet the conditions. They are named only if no other agent does.
std::string sentence(std::size_t offering, const Capability& capability, const Where& where,
                     const std::map<std::string, std::size_t>& obstacles, const Views& views, const std::string& away) {
  if (offering == 0 && away.empty()) return "no agent offers " + capability.str();
  if (offering == 0) return "no connected agent offers " + capability.str() + "; " + away + " did";
  std::string text = agents(offering) + (offering == 1 ? " offers " : " offer ") + capability.str();
  if (obstacles.empty()) {
    text += ", none meets " + list_conditions(where);
    return text + (away.empty() ? instead(views, where) : "; " + away + " did");
  }
  std::size_t meeting = 0;
  for (const auto& [what, count] : obstacles) meeting += count;
  if (meeting < offering) text += ", " + std::to_string(meeting) + " meet " + list_conditions(where);
  if (obstacles.size() == 1) {
    return text + (meeting == 1 ? ", it is " : ", all are ") + obstacles.begin()->first;
  }
  std::string parts;
  for (const auto& [what, count] : obstacles)
    parts += (parts.empty() ? ": " : ", ") + std::to_string(count) + " " + what;
  return text + parts;
}

}  // namespace

// Of the executors of one agent, the one that will be free soonest counts. They are grouped by sorting, which is
// several times faster than a tree: this runs on the loop's thread, for thousands of agents.
Explanation explain(const State& state, const Capability& capability, const Where& where) {
  Explanation result;
  std::vector<AgentIndex> offering;
  std::vector<std::pair<AgentIndex, Hindrance>> meeting;
  Views views;
  std::vector<AgentIndex> away;
  for (const ExecutorIndex index : state.placement.offering(capability)) {
    const ExecutorView& view = state.placement.executor(index);
    const Agent& agent = state.agents[view.agent];
    if (gone(agent)) {
      if (meets(view, where)) away.push_back(view.agent);
      continue;
    }
    offering.push_back(view.agent);
    views.push_back(&view);
    if (meets(view, where)) meeting.emplace_back(view.agent, hindrance(state, agent, view));
  }
  std::sort(offering.begin(), offering.end());
  result.offering = static_cast<std::size_t>(std::unique(offering.begin(), offering.end()) - offering.begin());
  std::sort(meeting.begin(), meeting.end());
  std::map<std::string, std::size_t> obstacles;  // text -> number of agents
  for (auto one = meeting.begin(); one != meeting.end();) {
    const AgentIndex agent = one->first;
    const Hindrance best = one->second;  // in the order of the enumeration: the obstacle that ends soonest comes first
    while (one != meeting.end() && one->first == agent) ++one;
    if (can_serve(best.what)) ++result.eligible;
    ++result.meeting;
    result.free = result.free || best.what == Obstacle::none;
    ++obstacles[text_of(best)];
  }
  if (!result.free) {
    result.waiting = sentence(result.offering, capability, where, obstacles, views,
                              meeting.empty() ? list_agents(state, std::move(away)) : std::string());
  }
  return result;
}

std::string explain_task(const State& state, const Task& task, Time now) {
  const bool asks = task.record.state == TaskState::queued;
  return explain_task(
      state, task, now,
      asks ? explain(state, task.record.spec.capability, conditions_of(task.record.spec)) : Explanation{});
}

std::string explain_task(const State& state, const Task& task, Time now, const Explanation& of_its_class) {
  switch (task.record.state) {
    case TaskState::scheduled: {
      const auto rest = task.due ? std::max<std::int64_t>(0, to_ms(*task.due - now)) : 0;
      return (task.record.attempts.empty() ? "it starts in " : "it is tried again in ") + std::to_string(rest) + " ms";
    }
    case TaskState::queued: {
      if (state.on_hold.count(task.record.id) > 0) return "held after a restore: release with `edgefleet release`";
      if (!state.connected) return "the broker cannot be reached";
      if (suspect(task.record) && of_its_class.eligible > 0) {
        return "an agent was lost while it ran, so it waits for an agent that holds no other task";
      }
      if (task.queued_in && state.placement.put_off(*task.queued_in)) {
        return "the free agents have other models loaded; it waits up to " +
               std::to_string(to_ms(Placement::seniority) / 1000) +
               " s past its turn for an agent that has its model loaded";
      }
      return of_its_class.free ? "it is placed next" : of_its_class.waiting;
    }
    case TaskState::running: {
      const auto done = std::any_of(task.record.attempts.begin(), task.record.attempts.end(),
                                    [](const Attempt& a) { return !ended(a.state) && a.lease.done_since; });
      return done ? "its agent has done it, and is still sending the result" : "";
    }
    case TaskState::assigned:
    case TaskState::cancelling:
    case TaskState::succeeded:
    case TaskState::failed:
    case TaskState::cancelled:
    case TaskState::expired:
      return "";
  }
  return "";
}

std::size_t ahead(const State& state, const Task& task) {
  if (!task.queued_in) return 0;
  return state.placement.ahead(*task.queued_in, task.client, OrderKey{task.record.order, task.record.id});
}

}  // namespace edgefleet::coordinator
