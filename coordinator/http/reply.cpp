#include "coordinator/http/reply.hpp"

#include "common/protocol/problem.hpp"

namespace edgefleet::coordinator {

http_server::Reply problem(const Error& error) {
  http_server::Reply reply{
      protocol::status_of(error.kind), protocol::problem_json(error), protocol::problem_type, {}, {}};
  if (error.retry_after) reply.headers.add("Retry-After", protocol::retry_after(*error.retry_after));
  return reply;
}

}  // namespace edgefleet::coordinator
