#include "coordinator/core/parameters.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace edgefleet::coordinator {
namespace {

template <typename Use>
void for_each_digest(const Agent& agent, Use use) {
  if (!agent.info) return;
  for (const ExecutorInfo& executor : agent.info->executors) {
    for (const auto& [capability, digest] : executor.parameters) use(digest);
  }
}

// Those that no agent names any more.
void forget_unused(State& state) {
  std::unordered_set<std::string> used;
  for (const Agent& agent : state.agents)
    for_each_digest(agent, [&](const std::string& digest) { used.insert(digest); });
  std::erase_if(state.parameters.known, [&](const auto& entry) {
    if (used.count(entry.first) > 0) return false;
    state.parameters.bytes -= entry.second.size();
    return true;
  });
}

}  // namespace

// One that nobody asked for is ignored.
void on(Context& c, const ParametersSeen& event) {
  Parameters& parameters = c.state.parameters;
  bool cleared = false;  // once an event: all agents are looked at
  for (const auto& [digest, schema] : event.schemas) {
    if (parameters.asked.erase(digest) == 0) continue;
    const auto full = [&] { return parameters.bytes + schema.size() > c.state.policy.most_parameter_bytes; };
    if (full() && !std::exchange(cleared, true)) forget_unused(c.state);
    if (full()) {
      c.note(NoteLevel::warning,
             "the description of an input by agent " + event.agent.str() + " is ignored: those of all agents fill " +
                 std::to_string(parameters.bytes) + " bytes",
             "too many parameters");
      parameters.asked[digest] = c.now.mono;  // not at once again
      continue;
    }
    if (!parameters.known.emplace(digest, schema).second) continue;
    parameters.bytes += schema.size();
    c.emit(ParametersLearned{digest});
  }
}

void ask_for_parameters(Context& c, const Agent& agent) {
  Parameters& parameters = c.state.parameters;
  const Policy& policy = c.state.policy;
  SendDescribe ask{agent.name, {}};
  for_each_digest(agent, [&](const std::string& digest) {
    if (parameters.known.count(digest) > 0 || ask.digests.size() >= limits::message_elements) return;
    const auto asked = parameters.asked.find(digest);
    if (asked != parameters.asked.end() && c.now.mono < asked->second + policy.describe_every) return;
    if (asked == parameters.asked.end() && parameters.asked.size() >= policy.most_parameters_asked) {
      std::erase_if(parameters.asked,
                    [&](const auto& entry) { return c.now.mono >= entry.second + policy.describe_every; });
      if (parameters.asked.size() >= policy.most_parameters_asked) return;
    }
    parameters.asked[digest] = c.now.mono;
    ask.digests.push_back(digest);
  });
  if (!ask.digests.empty()) c.emit(std::move(ask));
}

}  // namespace edgefleet::coordinator
