#include "coordinator/access/admission.hpp"

#include <algorithm>

#include "common/core/artifact_id.hpp"
#include "common/protocol/artifacts.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "coordinator/access/patterns.hpp"
#include "coordinator/access/permission.hpp"

namespace edgefleet::coordinator {
namespace {

// The model that a task for a language model names; empty: none.
std::string model_of(const TaskSpec& spec) {
  const auto input = json::Object::read(spec.input);
  const auto model = input ? input->find("model") : std::nullopt;
  return model ? json::as_string(*model).value_or("") : std::string();
}

Status may_use_model(const Access& access, const TaskSpec& spec) {
  if (access.limits.models.empty() || !spec.capability.str().starts_with("llm.")) return success();
  const std::string model = model_of(spec);
  if (!model.empty() && any_fits(access.limits.models, model)) return success();
  return Error{"the access " + access.name + " may not use " +
                   (model.empty() ? "a task without `model`" : "the model " + model.substr(0, 200)) +
                   ": it is not among its models",
               ErrorKind::forbidden};
}

Error no_such_access(const std::string& name) {
  return Error{"there is no access " + name.substr(0, 63) + ", or its time is over", ErrorKind::forbidden};
}

}  // namespace

Result<std::string> Admission::submitter_of(const std::string& client) {
  if (const auto access = accesses_.owner_of(client, wall_now())) return access->name;
  const Error ended = no_such_access(client);
  refusals_.note(client, ended.message);
  return ended;
}

Status Admission::may_submit(const std::string& name, const std::vector<const TaskSpec*>& specs, Time now) {
  const auto access = accesses_.owner_of(name, wall_now());
  Status judged = access ? success() : Status(no_such_access(name));
  for (auto spec = specs.begin(); judged && spec != specs.end(); ++spec) judged = judge(*access, **spec);
  if (!judged && judged.error().kind == ErrorKind::forbidden) refusals_.note(name, judged.error().message);
  return judged ? within_rate(*access, specs.size(), now) : judged;
}

Status Admission::judge(const Access& access, const TaskSpec& spec) const {
  if (auto may = coordinator::may_submit(access, spec.capability.str()); !may) return may;
  if (auto may = may_use_model(access, spec); !may) return may;
  return may_name_artifacts(access, spec);
}

Status Admission::within_rate(const Access& access, std::size_t tasks, Time now) {
  const std::int64_t most = access.limits.per_minute;
  if (most <= 0) return success();
  const std::string limit =
      "the access " + access.name + " has a limit of " + std::to_string(most) + " tasks a minute; ";
  if (tasks > static_cast<std::size_t>(most)) {
    return Error{limit + std::to_string(tasks) + " at once are too many: submit fewer at a time", ErrorKind::too_large};
  }
  if (rates_.size() > Registry::most_accesses) rates_.clear();  // of accesses that are gone
  const Duration spacing = Duration{std::chrono::minutes(1)} / most;
  auto& rate = rates_[access.name];
  if (rate.take(now, static_cast<double>(most), spacing, static_cast<double>(tasks))) return success();
  return Error{limit + "try again later", ErrorKind::busy};
}

std::uint64_t Admission::tokens_per_day(const std::string& name) const {
  const auto access = accesses_.owner_of(name, wall_now());
  return access ? static_cast<std::uint64_t>(std::max<std::int64_t>(0, access->limits.tokens_per_day)) : 0;
}

// One of somebody else is as unknown as one that does not exist.
Status Admission::may_name_artifacts(const Access& access, const TaskSpec& spec) const {
  if (sees_all_tasks(access.role)) return success();
  auto named = protocol::artifacts_in(spec.input);
  if (spec.input_at) named.insert(named.end(), spec.input_at->artifacts.begin(), spec.input_at->artifacts.end());
  for (const auto& artifact : named) {
    if (!knows_(access.name, artifact)) return Error{no_such_artifact(artifact).message, ErrorKind::invalid};
  }
  return success();
}

bool Admission::may_offer(const AgentName& agent, const Capability& capability) const {
  const auto enrolled = enrolment_.find(agent.str());
  return enrolled && any_fits(enrolled->capabilities, capability.str());
}

}  // namespace edgefleet::coordinator
