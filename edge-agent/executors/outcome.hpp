// How the executors say that a run failed.
#pragma once

#include <exception>
#include <string>

#include "common/core/result.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

// The message is made valid UTF-8 and cut to limits::error_bytes.
RunOutcome failed(std::string code, const std::string& message, bool retryable, JsonText output = "null");

inline RunOutcome cancelled_outcome(JsonText output = "null") {
  return failed("cancelled", "the task was cancelled", false, std::move(output));
}
// `cause`: how the run ended when its time was up; a transfer that did not get on is told.
RunOutcome timed_out_outcome(Duration timeout, const TaskError& cause, JsonText output = "null");

// A transfer or a scratch folder that failed: what is wrong with the task is not retryable, what is wrong here is.
RunOutcome failed_by(const Error& error, JsonText output = "null");
// The same, of what an input names.
RunOutcome failed_by_input(const Error& error);

// `run` ends with an exception only where the machine has nothing left (threads, memory): for another try elsewhere.
template <typename Run>
RunOutcome without_exceptions(Run run) {
  try {
    return run();
  } catch (const std::exception& failure) {
    return failed("internal", failure.what(), true);
  }
}

// What a result's message has room for; else `output_too_large`, not retryable.
RunOutcome bounded(RunOutcome outcome);

}  // namespace edgefleet::agent
