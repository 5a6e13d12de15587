#include "coordinator/shell/result_files.hpp"

#include "common/protocol/artifacts.hpp"

namespace edgefleet::coordinator {
namespace {

void fail_without_output(TaskResult& result) {
  const bool succeeded = result.status == ResultStatus::succeeded;
  result.output_at.reset();
  if (!succeeded) return;  // its error says more
  result.status = ResultStatus::failed;
  result.error = TaskError{"output_missing", "the file with the output is missing, or has another size", true, {}};
}

}  // namespace

std::vector<protocol::AttemptRef> ResultFiles::take_incomplete(std::vector<TaskResult>& results,
                                                               const std::function<bool(const AttemptKey&)>& counts) {
  std::vector<protocol::AttemptRef> incomplete;
  std::erase_if(results, [&](TaskResult& result) {
    const AttemptKey key{result.id, result.attempt};
    if (!counts(key)) return false;
    auto missing = missing_of(result);
    if (!missing.empty() && may_ask(key)) {
      incomplete.push_back({result.id, result.attempt, false, std::move(missing)});
      return true;
    }
    asked_.erase(key);
    // A file of another size is not what its agent promised.
    const bool wrong = result.output_at && artifacts_.size_of(result.output_at->artifact) != result.output_at->bytes;
    if (wrong) fail_without_output(result);
    return false;
  });
  return incomplete;
}

std::vector<std::string> ResultFiles::missing_of(const TaskResult& result) const {
  auto ids = protocol::artifacts_of(result.output, result.output_at);
  std::erase_if(ids, [&](const std::string& id) { return artifacts_.lease(id).ok(); });
  if (ids.size() > limits::text_artifacts) ids.resize(limits::text_artifacts);
  return ids;
}

bool ResultFiles::may_ask(const AttemptKey& key) {
  if (asked_.size() >= most_attempts && !asked_.contains(key)) asked_.clear();  // then they are asked a few times more
  return asked_[key]++ < most_asked;
}

}  // namespace edgefleet::coordinator
