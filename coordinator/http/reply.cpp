#include "coordinator/http/reply.hpp"

#include "common/protocol/problem.hpp"

namespace edgefleet::coordinator {

http_server::Reply problem(const Error& error) {
  return {protocol::status_of(error.kind), protocol::problem_json(error), protocol::problem_type, {}, {}};
}

}  // namespace edgefleet::coordinator
