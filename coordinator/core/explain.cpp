#include "coordinator/core/explain.hpp"

#include <algorithm>
#include <map>
#include <vector>

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {
namespace {

bool meets(const ExecutorView& view, const Where& where) {
  return std::all_of(where.begin(), where.end(),
                     [&](const auto& condition) { return Placement::meets(view, condition.first, condition.second); });
}

// What keeps this agent's executor from taking a task now; empty: nothing does.
std::string obstacle(const State& state, const Agent& agent, const ExecutorView& view) {
  switch (agent.status.state) {
    case AgentState::lost:
      return "lost";
    case AgentState::offline:
      return "offline";
    case AgentState::overheated:
      return "paused for heat";
    case AgentState::draining:
      return "draining";
    case AgentState::online:
      break;
  }
  if (agent.drained) return "drained";
  if (!placeable(state, agent)) {
    const bool full =
        agent.info && agent.info->max_tasks > 0 && agent.held.size() >= static_cast<std::size_t>(agent.info->max_tasks);
    if (agent.deaf_until) return "online, but not getting its tasks (may it read its topics below tasks/?)";
    return full ? "busy" : "not yet reporting to this coordinator";
  }
  if (!view.info.problem.empty()) return (view.info.rests ? "resting (" : "out of service (") + view.info.problem + ")";
  if (view.slots == 0) {
    const bool hot = agent.temperature && agent.temperature->policy != HeatPolicy::normal;
    return hot ? "paused for heat" : "full";
  }
  if (view.reserved) return "kept for a task that must run alone";
  return view.held >= view.slots ? "busy" : "";
}

bool can_serve(const std::string& obstacle) {
  return obstacle.empty() || obstacle == "busy" || obstacle == "full" || obstacle.starts_with("kept") ||
         obstacle.starts_with("resting");
}

std::string agents(std::size_t n) { return std::to_string(n) + (n == 1 ? " agent" : " agents"); }

std::string list_conditions(const Where& where) {
  std::string text;
  for (const auto& [name, value] : where) text += (text.empty() ? "" : ", ") + name + "=" + value;
  return text;
}

std::string sentence(std::size_t offering, const Capability& capability, const Where& where,
                     const std::map<std::string, std::size_t>& obstacles) {
  if (offering == 0) return "no agent offers " + capability.str();
  std::string text = agents(offering) + (offering == 1 ? " offers " : " offer ") + capability.str();
  if (obstacles.empty()) return text + ", none meets " + list_conditions(where);
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

// Of the executors of one agent, the one that is nearest to free counts. They are brought together by sorting: that is
// several times faster than a tree, and this is asked on the loop's thread about thousands of agents.
Explanation explain(const State& state, const Capability& capability, const Where& where) {
  Explanation result;
  std::vector<AgentIndex> offering;
  std::vector<std::pair<AgentIndex, std::string>> meeting;
  for (const ExecutorIndex index : state.placement.offering(capability)) {
    const ExecutorView& view = state.placement.executor(index);
    offering.push_back(view.agent);
    if (meets(view, where)) meeting.emplace_back(view.agent, obstacle(state, state.agents[view.agent], view));
  }
  std::sort(offering.begin(), offering.end());
  result.offering = static_cast<std::size_t>(std::unique(offering.begin(), offering.end()) - offering.begin());
  std::sort(meeting.begin(), meeting.end());
  std::map<std::string, std::size_t> obstacles;
  for (auto one = meeting.begin(); one != meeting.end();) {
    const auto& [agent, first] = *one;
    const std::string* best = &first;
    for (++one; one != meeting.end() && one->first == agent; ++one) {
      if (can_serve(one->second) && !best->empty()) best = &one->second;
    }
    if (can_serve(*best)) ++result.eligible;
    if (*best != "lost" && *best != "offline") ++result.meeting;
    ++obstacles[*best];
  }
  if (obstacles.count("") == 0) result.waiting = sentence(result.offering, capability, where, obstacles);
  return result;
}

std::string explain_task(const State& state, const Task& task, Time now) {
  const bool asks = task.record.state == TaskState::queued;
  return explain_task(state, task, now,
                      asks ? explain(state, task.record.spec.capability, task.record.spec.where) : Explanation{});
}

std::string explain_task(const State& state, const Task& task, Time now, const Explanation& of_its_class) {
  switch (task.record.state) {
    case TaskState::scheduled: {
      const auto rest = task.due ? std::max<std::int64_t>(0, to_ms(*task.due - now)) : 0;
      return (task.record.attempts.empty() ? "it is to start in " : "it is tried again in ") + std::to_string(rest) +
             " ms";
    }
    case TaskState::queued: {
      if (state.held.count(task.record.id) > 0) return "held after a restore: release with `edgefleet release`";
      if (!state.connected) return "the broker cannot be reached";
      if (suspect(task.record) && of_its_class.eligible > 0) {
        return "an agent was lost while it ran, so it waits for an agent that holds nothing else";
      }
      if (task.queued_in && state.placement.put_off(*task.queued_in)) {
        return "who is free has other models loaded; it waits up to " +
               std::to_string(to_ms(Placement::seniority) / 1000) +
               " s longer than its turn for an agent that has its own";
      }
      return of_its_class.waiting.empty() ? "its turn comes next" : of_its_class.waiting;
    }
    case TaskState::assigned:
    case TaskState::running:
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
  return state.placement.ahead(*task.queued_in, OrderKey{task.record.order, task.record.id});
}

}  // namespace edgefleet::coordinator
