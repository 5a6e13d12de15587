// The effect of a back end's refusal on the task and the agent: one place for all providers. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/task.hpp"
#include "common/http/client.hpp"

namespace edgefleet::agent::llm {

// Codes of the TaskError, as in the docs:
//   invalid_input, context_too_long: an error of the task, not retried
//   model_not_found, rate_limited, unauthorized, backend_unavailable, backend_error, bad_answer: another attempt,
//   elsewhere first
TaskError refusal_of(int status, std::string_view body, std::optional<Duration> retry_after);

// What a back end that has no error writes in its place: null, "", false, 0, {}, [], {"code":0,"message":""}.
bool says_nothing(std::string_view value);
// An error within a stream, under status 200; none if `piece`, well-formed JSON, is not an error.
std::optional<TaskError> error_in(std::string_view piece);
// A piece that the back end itself calls an error: JSON of any shape, or text.
TaskError error_event(std::string_view piece);

// "2m59.56s", "5.289s", "46s", "7m"; none if it is not of that form.
std::optional<Duration> read_duration(std::string_view text);

// The pause that the headers of an answer require, if they report that a limit is used up.
std::optional<Duration> exhausted_for(const http::Response& response);

}  // namespace edgefleet::agent::llm
