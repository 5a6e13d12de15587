#include "coordinator/http/requests.hpp"

#include <algorithm>

#include "common/protocol/fields.hpp"
#include "common/protocol/submission.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t most_wrong = 100;
constexpr std::int64_t longest_page = 1000;

}  // namespace

Result<BatchRequest> read_batch(std::string_view body, std::size_t most_input_bytes,
                                const std::function<Status(const TaskSpec&)>& check) {
  auto fields = json::Fields::untrusted(body);
  fields.require("tasks");
  const auto slices = fields.array("tasks");
  BatchRequest batch;
  batch.idempotency_key = protocol::read_idempotency_key(fields);
  if (!fields.ok()) return fields.error().context("the batch");
  if (slices.empty() || slices.size() > limits::batch_tasks) {
    return Error{"a batch has 1 to " + std::to_string(limits::batch_tasks) + " tasks, this one has " +
                     std::to_string(slices.size()),
                 slices.empty() ? ErrorKind::invalid : ErrorKind::too_large};
  }
  batch.tasks.reserve(slices.size());
  for (std::size_t i = 0; i < slices.size() && batch.wrong.size() < most_wrong; ++i) {
    auto one = protocol::decode_submission_part(slices[i], most_input_bytes);
    const auto good = one ? check(one->spec) : success();
    if (!one) {
      batch.wrong.emplace_back(i, one.error());
    } else if (!good) {
      batch.wrong.emplace_back(i, good.error());
    } else if (!one->idempotency_key.empty()) {
      batch.wrong.emplace_back(i, invalid("`idempotency_key` belongs next to `tasks`: one key for the whole batch"));
    } else {
      batch.tasks.push_back({std::move(one->spec), {}});
    }
  }
  return batch;
}

Result<TaskQuery> read_task_query(const Query& parameter) {
  TaskQuery query;
  if (const auto text = parameter("state")) {
    query.state = parse_task_state(*text);
    if (!query.state) return Error{"`state`: \"" + *text + "\" is not a state of a task", ErrorKind::invalid};
  }
  if (const auto text = parameter("capability")) {
    query.capability = Capability::parse(*text);
    if (!query.capability) return Error{"`capability`: " + std::string(capability_rule), ErrorKind::invalid};
  }
  if (const auto text = parameter("batch")) {
    query.batch = BatchId::parse(*text);
    if (!query.batch) return Error{"`batch` is not the id of a batch", ErrorKind::invalid};
  }
  if (const auto text = parameter("after")) {
    query.before = TaskId::parse(*text);
    if (!query.before) return Error{"`after` is not the id of a task", ErrorKind::invalid};
  }
  if (const auto text = parameter("limit")) {
    const auto limit = json::as_integer(*text);
    if (!limit || *limit < 1 || *limit > longest_page) {
      return Error{"`limit` must be a number from 1 to 1000", ErrorKind::invalid};
    }
    query.limit = static_cast<std::size_t>(*limit);
  }
  return query;
}

Result<bool> read_inline(const Query& parameter) {
  const auto text = parameter("inline").value_or("true");
  if (text == "true" || text == "false") return text == "true";
  return Error{"`inline` must be true or false", ErrorKind::invalid};
}

Result<double> read_wait(const Query& parameter) {
  const auto text = parameter("wait");
  if (!text) return 0.0;
  const auto seconds = json::as_number(*text);
  if (!seconds || *seconds < 0) return Error{"`wait` must be a number of seconds, 0 or more", ErrorKind::invalid};
  return std::min(*seconds, longest_wait);
}

}  // namespace edgefleet::coordinator
