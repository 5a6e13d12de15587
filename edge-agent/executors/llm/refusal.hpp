// What a back end's refusal means for the task and for the agent: one place for all providers. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/core/task.hpp"
#include "common/http/client.hpp"
#include "edge-agent/executors/llm/answer.hpp"

namespace edgefleet::agent::llm {

// Code of the TaskError, in the docs' words:
//   invalid_input, context_too_long: the task's fault, not tried again
//   model_not_found, rate_limited, unauthorized, backend_unavailable, backend_error, bad_answer: another attempt,
//   elsewhere first
TaskError refusal_of(int status, std::string_view body, std::optional<Duration> retry_after);

// An error in the middle of a stream, under status 200; none if `piece` is none.
std::optional<TaskError> error_in(const Json& piece);

// "2m59.56s", "5.289s", "46s", "7m"; none if it is not of that form.
std::optional<Duration> read_duration(std::string_view text);

// How long a provider wants to be left alone, by the headers of an answer: where it says that nothing remains.
std::optional<Duration> exhausted_for(const http::Response& response);

}  // namespace edgefleet::agent::llm
