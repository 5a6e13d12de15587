#include "coordinator/http/site/refuse.hpp"

#include "common/protocol/problem.hpp"
#include "coordinator/http/llm/dialects/failure.hpp"

namespace edgefleet::coordinator {

using http_server::Problem;
using http_server::Reply;

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
