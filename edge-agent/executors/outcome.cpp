#include "edge-agent/executors/outcome.hpp"

#include <string_view>

#include "common/core/utf8.hpp"

namespace edgefleet::agent {
namespace {

struct Meaning {
  std::string_view code;
  bool retryable;
};

Meaning meaning_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return {"bad_input", false};
    case ErrorKind::unsupported:
      return {"not_supported", false};
    case ErrorKind::forbidden:
      return {"unavailable", true};  // the coordinator has given the task to another agent, or restarted
    case ErrorKind::not_found:
      return {"artifact_missing", false};
    case ErrorKind::too_large:
      return {"output_too_large", false};
    case ErrorKind::full:
      return {"no_space", true};
    case ErrorKind::conflict:
    case ErrorKind::busy:
    case ErrorKind::used_up:
    case ErrorKind::unavailable:
      return {"unavailable", true};
    case ErrorKind::internal:
      break;
  }
  return {"internal", true};
}

}  // namespace

RunOutcome failed(std::string code, const std::string& message, bool retryable, JsonText output) {
  const std::string text = valid_utf8(message);
  RunOutcome outcome;
  outcome.output = std::move(output);
  outcome.error = TaskError{std::move(code), std::string(cut_front(text, limits::error_bytes)), retryable, {}};
  return outcome;
}

RunOutcome timed_out_outcome(Duration timeout, const TaskError& cause, JsonText output) {
  const bool transfer =
      cause.code == meaning_of(ErrorKind::unavailable).code || cause.code == meaning_of(ErrorKind::full).code;
  return failed("timed_out",
                "it did not end within " + exact_duration(timeout) + (transfer ? "; " + cause.message : std::string()),
                true, std::move(output));
}

RunOutcome failed_by_input(const Error& error) {
  if (error.kind == ErrorKind::too_large) return failed("input_too_large", error.message, false);
  return failed_by(error);
}

RunOutcome failed_by(const Error& error, JsonText output) {
  const Meaning meaning = meaning_of(error.kind);
  return failed(std::string(meaning.code), error.message, meaning.retryable, std::move(output));
}

RunOutcome bounded(RunOutcome outcome, std::size_t most_bytes) {
  const std::size_t bytes = outcome.output.size();
  if (bytes <= most_bytes) return outcome;
  return failed("output_too_large",
                "the output has " + std::to_string(bytes) + " bytes, the maximum is " + std::to_string(most_bytes) +
                    ": store large data as files",
                false);
}

}  // namespace edgefleet::agent
