// What the handlers of the API share.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/http/api/api.hpp"
#include "coordinator/http/ask.hpp"

namespace edgefleet::coordinator {

using http_server::Reply;
using http_server::Request;
using http_server::Responder;

inline constexpr const char* http_submitter = "http";

// Whether the artifacts that a task names are there.
Status check_artifacts(Artifacts& artifacts, const TaskSpec& spec);

Reply located(int status, std::string body, const std::string& location);
// {"id"|"name": ..., "state": ...}, 202
Reply accepted_object(const char* key, const std::string& name, std::string_view state);
Error no_such_task(const TaskId& id);

// The id in the path of a request. None: it has been answered.
template <typename Id>
std::optional<Id> id_in(const Request& request, const Responder& responder, const std::string& what) {
  auto id = Id::parse(request.capture("id"));
  if (!id) {
    responder.answer(problem(
        Error{"\"" + request.capture("id").substr(0, 100) + "\" is not the id of a " + what, ErrorKind::not_found}));
  }
  return id;
}

// A long poll: answers what `finished` says as soon as it says something, and what `otherwise` does when the wait is
// over, or the client has gone.
struct Poll {
  using Finished = std::function<std::optional<Reply>()>;  // looks at the store; on the pool
  using Otherwise = std::function<void(const Responder&)>;
  Finished finished;
  Otherwise otherwise;
};
void wait_for(const Parts& parts, const Ulid& id, double seconds, const Responder& responder, Poll poll);

}  // namespace edgefleet::coordinator
