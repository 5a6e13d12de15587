// The part of the loop that owns the executors: what they offer, and their changes by a new configuration.
#include <set>

#include "common/core/utf8.hpp"
#include "common/files/text_digest.hpp"
#include "common/protocol/schema.hpp"
#include "edge-agent/core/capacity.hpp"
#include "edge-agent/sensors/machine.hpp"
#include "edge-agent/shell/loop.hpp"

namespace edgefleet::agent {
namespace {

std::string for_report(const std::string& text) {
  const std::string valid = valid_utf8(text);
  return std::string(cut_front(valid, most_problem_bytes));
}

}  // namespace

void Loop::start(const ExecutorSet::One& one) {
  one.executor->start([this, version = one.version, freezes = one.executor->freezes(),
                       files = one.executor->needs_files()](ExecutorInfo offer) {
    inbox_.insist(Offered{version, {std::move(offer), freezes, files}});
  });
}

// What a replaced executor offers counts no longer; its descriptions do until its successor has others. A description
// that cannot be used is left out: the capability works without it.
void Loop::handle(Offered& offered) {
  OfferChanged& offer = offered.offer;
  const Executor* const executor = executors_.find(offer.executor.name, offered.version);
  if (executor == nullptr) return;
  if (!says_what_it_offers(offer.executor)) return step(std::move(offer));
  auto& schemas = schemas_[offer.executor.name];
  schemas.clear();
  for (auto& [capability, schema] : executor->parameters()) {
    if (const auto usable = protocol::Schema::compile(schema); !usable) {
      complaints_.complain("parameters of " + capability.str(),
                           "the parameters of " + capability.str() + " are not shown: " + usable.error().message);
      continue;
    }
    schemas.push_back({text_digest(schema), schema});
    offer.executor.parameters[capability] = schemas.back().digest;
  }
  step(std::move(offer));
}

// A plug-in that is slow to end could be changed faster than its old versions end. The file is read when few are left,
// so the newest one counts; a turn takes place every two seconds at least.
void Loop::want_configuration() {
  read_again_ = true;
  if (executors_.ending() < ExecutorSet::most_ending) return;
  complaints_.complain("old versions",
                       std::to_string(executors_.ending()) +
                           " old versions of executors still end; the configuration is read again after that",
                       log::Level::info);
}

void Loop::read_configuration() {
  read_again_ = false;
  ConfigReport report;
  report.reloads = machine_.config->reloads + 1;
  auto fresh = options_.read_again ? options_.read_again() : Result<NewConfiguration>(Error{"it cannot be read again"});
  if (!fresh) {
    report.problem = for_report(fresh.error().message);
    log::error("the configuration was not changed: " + fresh.error().message);
  } else {
    report.changes = for_report(fresh->changes);
    report.restart = for_report(fresh->restart);
    log::info("the configuration was read again: " + (fresh->changes.empty() ? "nothing has changed" : fresh->changes) +
              "; keys and models are looked up again");
    if (!fresh->restart.empty()) log::warning(fresh->restart + ": a change of this needs a restart of the agent");
    take_over(std::move(*fresh));
  }
  machine_.config = std::move(report);
  step(MachineChanged{});
}

// The core learns of it first, so that it starts no task meanwhile in an executor that is replaced.
void Loop::take_over(NewConfiguration fresh) {
  machine_.labels = std::move(fresh.labels);
  max_tasks_ = fresh.max_tasks;
  machine_.max_tasks = bounded(fresh.max_tasks);
  machine_.max_task_bytes = fresh.max_task_bytes;
  describe_machine(machine_);
  step(Reconfigured{machine_.max_tasks, fresh.stop_grace, fresh.heat, std::move(fresh.changed), fresh.removed});
  for (const ExecutorName& name : fresh.removed) {
    executors_.remove(name);
    schemas_.erase(name);
  }
  std::set<ExecutorName> started;
  for (auto& executor : fresh.executors) {
    const auto& one = executors_.put(std::move(executor));
    if (one.executor->needs_files() && options_.watch) options_.watch->look_soon();
    started.insert(one.executor->name());
    start(one);
  }
  for (const auto& [name, one] : executors_) {
    if (!started.contains(name)) one.executor->reload();
  }
}

}  // namespace edgefleet::agent
