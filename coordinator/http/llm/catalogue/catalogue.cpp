#include "coordinator/http/llm/catalogue/catalogue.hpp"

#include <algorithm>

#include "common/core/listed_model.hpp"
#include "common/core/utf8.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/http/ask.hpp"

namespace edgefleet::coordinator::llm {
namespace {

// Whether one model of a chain can be used.
struct Availability {
  bool offered = false;
  bool free = false;
  std::string problem;  // why the agents that have it cannot serve it
};

struct Lookup {
  std::vector<Availability> models;
  std::vector<Offered> others;  // for the error, if none can be used
};

std::vector<Offered> offered_by(const State& state) {
  std::map<std::string, std::string> all;
  for (const Agent& agent : state.agents) {
    const bool there = agent.status.state != AgentState::lost && agent.status.state != AgentState::offline;
    if (!there || !agent.info) continue;
    for (const ExecutorInfo& executor : agent.info->executors) {
      for (const auto& model : executor.models) all.emplace(model, executor.provider);
    }
  }
  std::vector<Offered> offered;
  for (const auto& [model, owner] : all) offered.push_back({model, owner.empty() ? "edgefleet" : owner});
  return offered;
}

Lookup look_up(const State& state, const Capability& capability, const std::vector<std::string>& wanted) {
  Lookup lookup;
  for (const auto& model : wanted) {
    const auto why = explain(state, capability, {{"model", model}});
    const bool offered = why.eligible > 0;
    lookup.models.push_back({offered, why.free, offered || why.meeting == 0 ? "" : why.waiting});
  }
  lookup.others = offered_by(state);
  return lookup;
}

// `where`: " for llm.chat", or nothing.
Error not_offered(const std::string& model, const std::string& where, const std::vector<Offered>& others) {
  std::string message = "no agent offers the model \"" + std::string(cut_front(model, 200)) + "\"" + where;
  for (std::size_t i = 0; i < std::min<std::size_t>(others.size(), 20); ++i) {
    message += (i == 0 ? "; available: " : ", ") + others[i].model;
  }
  return Error{message, ErrorKind::not_found};
}

Result<std::vector<std::string>> chain_of(const std::string& model, const Capability& capability,
                                          const std::vector<std::string>& wanted, const Lookup& lookup) {
  std::vector<std::string> chain;
  for (const bool free : {true, false}) {
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      if (lookup.models[i].offered && lookup.models[i].free == free) chain.push_back(wanted[i]);
    }
  }
  if (!chain.empty()) return chain;
  for (const Availability& one : lookup.models) {
    if (one.problem.empty()) continue;
    return Error{"the model \"" + std::string(cut_front(model, 200)) + "\" cannot be used now: " + one.problem,
                 ErrorKind::unavailable};
  }
  return not_offered(model, " for " + capability.str(), lookup.others);
}

std::size_t next_of(const State& state, const TaskId& id, const std::vector<std::string>& chain, std::size_t at) {
  const auto task = state.tasks.find(id);
  if (task == state.tasks.end() || task->second.record.state != TaskState::queued) return chain.size();
  const TaskSpec& spec = task->second.record.spec;
  if (explain(state, spec.capability, conditions_of(spec)).eligible > 0) return chain.size();
  for (std::size_t other = at + 1; other < chain.size(); ++other) {
    Where where = conditions_of(spec);
    where["model"] = chain[other];
    if (explain(state, spec.capability, where).eligible > 0) return other;
  }
  return chain.size();
}

}  // namespace

void Catalogue::offered(const Responder& responder, Then<std::vector<Offered>> then) const {
  look<std::vector<Offered>>(
      loop_, responder, [](const State& state, Now) { return offered_by(state); },
      [this, then = std::move(then)](Result<std::vector<Offered>> all) {
        if (!all) return then(all.error());
        for (const auto& [alias, chain] : aliases_) all->push_back({alias, "alias"});
        then(std::move(all));
      });
}

void Catalogue::find(const Responder& responder, const std::string& name, Then<Offered> then) const {
  offered(responder, [name, then = std::move(then)](const Result<std::vector<Offered>>& all) {
    if (!all) return then(all.error());
    const auto found = std::find_if(all->begin(), all->end(), [&](const Offered& one) {
      return listed_model({one.model}, one.owner, name) != nullptr;
    });
    then(found == all->end() ? Result<Offered>(not_offered(name, "", *all)) : *found);
  });
}

void Catalogue::chain(const Responder& responder, const Capability& capability, const std::string& model,
                      Then<std::vector<std::string>> then) const {
  const auto alias = aliases_.find(model);
  const auto wanted = alias == aliases_.end() ? std::vector{model} : alias->second;
  look<Lookup>(
      loop_, responder, [capability, wanted](const State& state, Now) { return look_up(state, capability, wanted); },
      [capability, wanted, model, then = std::move(then)](const Result<Lookup>& lookup) {
        then(lookup ? chain_of(model, capability, wanted, *lookup) : lookup.error());
      });
}

void Catalogue::next(const Responder& responder, const TaskId& task, const std::vector<std::string>& chain,
                     std::size_t at, Then<std::size_t> then) const {
  look<std::size_t>(
      loop_, responder, [task, chain, at](const State& state, Now) { return next_of(state, task, chain, at); },
      std::move(then));
}

}  // namespace edgefleet::coordinator::llm
