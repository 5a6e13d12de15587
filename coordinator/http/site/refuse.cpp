#include "coordinator/http/site/refuse.hpp"

#include "common/protocol/problem.hpp"
#include "coordinator/http/llm/dialects/failure.hpp"

namespace edgefleet::coordinator {

using http_server::Problem;
using http_server::Reply;

std::string advice_on(const Problem& problem, std::string_view path, std::uint64_t most_input_bytes) {
  const bool submits = path == "/api/v1/tasks";
  if (problem.status != 413 || (!submits && !llm::has_openai_shape(path))) return {};
  return "; the input of a task has at most " + std::to_string(most_input_bytes) +
         " bytes (--max-task-mb of the coordinator)" +
         (submits ? "; upload larger data with PUT /api/v1/artifacts and name the artifact in the input" : "");
}

Reply refuse(const Problem& problem, std::string_view path) {
  const auto& [status, detail, headers] = problem;
  if (llm::has_openai_shape(path)) return llm::openai_reply(llm::failure_of_status(status, detail));
  return {status,
          protocol::problem_json(status, http_server::reason_phrase(status), detail),
          protocol::problem_type,
          {},
          {}};
}

}  // namespace edgefleet::coordinator
