// Shared by the handlers of the API.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/http/api/api.hpp"
#include "coordinator/http/ask.hpp"
#include "coordinator/http/caller.hpp"

namespace edgefleet::coordinator {

using http_server::Reply;
using http_server::Request;
using http_server::Responder;

// Fails if an artifact that the task names is missing, or if no agent takes such an input.
Status check_task(const Parts& parts, const TaskSpec& spec);

Reply located(int status, std::string body, const std::string& location);
// {"id"|"name": ..., "state": ...}, 202
Reply accepted_object(const char* key, const std::string& name, std::string_view state);
Error no_such_task(const TaskId& id);

// The id in the path of a request. No value: the request has been answered with an error.
template <typename Id>
std::optional<Id> id_in(const Request& request, const Responder& responder, const std::string& what) {
  auto id = Id::parse(request.capture("id"));
  if (!id) {
    responder.answer(problem(
        Error{"\"" + request.capture("id").substr(0, 100) + "\" is not the id of a " + what, ErrorKind::not_found}));
  }
  return id;
}

// The id of a task that the caller may see. No value: the request has been answered with an error; whether somebody
// else has such a task is not told.
std::optional<TaskId> seen_task(const Parts& parts, const Request& request, const Responder& responder);

// A long poll: answers with the reply of `finished` as soon as there is one. Calls `otherwise` when the wait ends or
// the client disconnects.
struct Poll {
  using Finished = std::function<std::optional<Reply>()>;  // reads the store; on the pool
  using Otherwise = std::function<void(const Responder&)>;
  Finished finished;
  Otherwise otherwise;
};
void wait_for(const Parts& parts, const Ulid& id, double seconds, const Responder& responder, Poll poll);

}  // namespace edgefleet::coordinator
