#include "coordinator/http/reply.hpp"

#include "common/protocol/problem.hpp"

namespace edgefleet::coordinator {

using http_server::Reply;

void say_when_again(Reply& reply) {
  if (reply.status == 429 || reply.status == 503) reply.headers.add("Retry-After", "1");
}

Reply problem(const Error& error) {
  Reply reply{protocol::status_of(error.kind), protocol::problem_json(error), protocol::problem_type, {}, {}};
  say_when_again(reply);
  return reply;
}

}  // namespace edgefleet::coordinator
