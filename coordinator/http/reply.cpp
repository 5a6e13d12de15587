#include "coordinator/http/reply.hpp"

#include "coordinator/http/llm/failure.hpp"
#include "coordinator/http/views.hpp"

namespace edgefleet::coordinator {
namespace {

using http_server::Problem;
using http_server::Reply;
using http_server::Request;

void say_when_again(Reply& reply) {
  if (reply.status == 429 || reply.status == 503) reply.headers.add("Retry-After", "1");
}

}  // namespace

Reply problem(const Error& error) {
  Reply reply{http_status(error.kind), problem_view(error), "application/problem+json", {}, {}};
  say_when_again(reply);
  return reply;
}

Reply refuse(const Problem& problem, const Request& head) {
  const std::string& detail = problem.detail;
  Reply reply =
      llm::has_openai_shape(head.path)
          ? llm::openai_reply(llm::failure_of_status(problem.status, detail))
          : Reply{problem.status,
                  problem_view(problem.status, std::string(http_server::reason_phrase(problem.status)), detail),
                  "application/problem+json",
                  {},
                  {}};
  if (!reply.headers.has("Retry-After")) say_when_again(reply);
  return reply;
}

}  // namespace edgefleet::coordinator
