#include "coordinator/http/site/refuse.hpp"

#include "common/protocol/problem.hpp"
#include "coordinator/http/llm/dialects/failure.hpp"
#include "coordinator/http/reply.hpp"

namespace edgefleet::coordinator {

using http_server::Problem;
using http_server::Reply;
using http_server::Request;

Reply refuse(const Problem& problem, const Request& head) {
  const std::string& detail = problem.detail;
  Reply reply = llm::has_openai_shape(head.path)
                    ? llm::openai_reply(llm::failure_of_status(problem.status, detail))
                    : Reply{problem.status,
                            protocol::problem_json(problem.status, http_server::reason_phrase(problem.status), detail),
                            protocol::problem_type,
                            {},
                            {}};
  if (!reply.headers.has("Retry-After")) say_when_again(reply);
  return reply;
}

}  // namespace edgefleet::coordinator
