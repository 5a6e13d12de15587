#include "coordinator/http/site/refuse.hpp"

#include "common/protocol/problem.hpp"
#include "coordinator/http/llm/dialects/failure.hpp"

namespace edgefleet::coordinator {

using http_server::Problem;
using http_server::Reply;

namespace {

constexpr std::string_view of_a_task = "; the bound on a task's input is --max-task-mb of the coordinator";
constexpr std::string_view upload_instead =
    "; upload larger data with PUT /api/v1/artifacts and name the artifact in the input";

}  // namespace

Reply refuse(const Problem& problem, std::string_view path) {
  const int status = problem.status;
  std::string detail = problem.detail;
  if (status == 413 && path == "/api/v1/tasks") detail += upload_instead;
  if (status == 413 && llm::has_openai_shape(path)) detail += of_a_task;
  if (llm::has_openai_shape(path)) return llm::openai_reply(llm::failure_of_status(status, detail));
  return {status,
          protocol::problem_json(status, http_server::reason_phrase(status), detail),
          protocol::problem_type,
          {},
          {}};
}

}  // namespace edgefleet::coordinator
