// Failures of runs, in the form that all executors use.
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
// `cause`: the error at the timeout; if it is that of a transfer, the message includes it.
RunOutcome timed_out_outcome(Duration timeout, const TaskError& cause, JsonText output = "null");

// A failed transfer or scratch folder: an error of the task is not retryable, a problem of this device is.
RunOutcome failed_by(const Error& error, JsonText output = "null");
// The same for files that an input names.
RunOutcome failed_by_input(const Error& error);

// `run` throws only if the machine is out of threads or memory: the attempt is retryable elsewhere.
template <typename Run>
RunOutcome without_exceptions(Run run) {
  try {
    return run();
  } catch (const std::exception& failure) {
    return failed("internal", failure.what(), true);
  }
}

// Checks that the output is within the bound of its task; otherwise `output_too_large`, not retryable.
RunOutcome bounded(RunOutcome outcome, std::size_t most_bytes);

}  // namespace edgefleet::agent
