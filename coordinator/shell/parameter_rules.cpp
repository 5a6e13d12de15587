#include "coordinator/shell/parameter_rules.hpp"

#include <mutex>

namespace edgefleet::coordinator {

void ParameterRules::committed(const Changes& changes, const State& state) {
  for (const Change& change : changes) {
    if (const auto* offers = std::get_if<OffersChanged>(&change)) offer(offers->agent, state);
    if (const auto* learned = std::get_if<ParametersLearned>(&change)) learn(learned->digest, state);
    const auto* agent = std::get_if<AgentChanged>(&change);
    if (agent != nullptr && !agent->to) {
      const std::unique_lock lock(mutex_);
      withdraw(agent->agent);
    }
  }
}

void ParameterRules::offer(const AgentName& name, const State& state) {
  const auto index = state.agent_index.find(name);
  const std::unique_lock lock(mutex_);
  withdraw(name);
  if (index == state.agent_index.end() || !state.agents[index->second].info) return;
  std::vector<Offer>& all = agents_[name];
  for (const ExecutorInfo& executor : state.agents[index->second].info->executors) {
    for (const Capability& capability : executor.capabilities) {
      const auto digest = executor.parameters.find(capability);
      all.push_back({capability, digest == executor.parameters.end() ? std::string() : digest->second});
      ++offers_[capability][all.back().digest];
      if (all.back().digest.empty()) continue;
      Rule& rule = rules_[all.back().digest];
      ++rule.offers;
      const auto known = state.parameters.known.find(all.back().digest);
      if (rule.schema || known == state.parameters.known.end()) continue;
      if (auto schema = protocol::Schema::compile(known->second)) rule.schema = std::move(*schema);
    }
  }
}

// The mutex is held.
void ParameterRules::withdraw(const AgentName& name) {
  const auto agent = agents_.find(name);
  if (agent == agents_.end()) return;
  for (const auto& [capability, digest] : agent->second) {
    const auto offers = offers_.find(capability);
    if (--offers->second[digest] == 0) offers->second.erase(digest);
    if (offers->second.empty()) offers_.erase(offers);
    const auto rule = rules_.find(digest);
    if (rule != rules_.end() && --rule->second.offers == 0) rules_.erase(rule);
  }
  agents_.erase(agent);
}

void ParameterRules::learn(const std::string& digest, const State& state) {
  const auto known = state.parameters.known.find(digest);
  if (known == state.parameters.known.end()) return;
  auto schema = protocol::Schema::compile(known->second);
  const std::unique_lock lock(mutex_);
  const auto rule = rules_.find(digest);
  if (schema && rule != rules_.end()) rule->second.schema = std::move(*schema);
}

// Empty: not all of its executors are known to describe their input, or there are too many descriptions to check.
std::vector<protocol::Schema> ParameterRules::rules_of(const Capability& capability) const {
  const std::shared_lock lock(mutex_);
  const auto offers = offers_.find(capability);
  if (offers == offers_.end() || offers->second.size() > most_checked) return {};
  std::vector<protocol::Schema> rules;
  for (const auto& [digest, executors] : offers->second) {
    const auto rule = rules_.find(digest);
    if (rule == rules_.end() || !rule->second.schema) return {};
    rules.push_back(*rule->second.schema);
  }
  return rules;
}

Status ParameterRules::check(const Capability& capability, std::string_view input) const {
  Status first = success();
  for (const protocol::Schema& rule : rules_of(capability)) {
    auto good = rule.check(input);
    if (good) return good;
    if (first) first = Error{capability.str() + ": " + good.error().message, ErrorKind::invalid};
  }
  return first;
}

}  // namespace edgefleet::coordinator
