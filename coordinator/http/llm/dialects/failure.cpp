#include "coordinator/http/llm/dialects/failure.hpp"

#include <algorithm>
#include <array>

#include "common/protocol/problem.hpp"
#include "coordinator/http/llm/dialects/json_text.hpp"

namespace edgefleet::coordinator::llm {
namespace {

struct CodeOfTask {
  std::string_view task_code;
  int status;
  const char* type;
  const char* code;
};
constexpr std::array<CodeOfTask, 11> codes = {{
    {"bad_input", 400, "invalid_request_error", "invalid_request"},
    {"invalid_input", 400, "invalid_request_error", "invalid_request"},
    {"not_supported", 400, "invalid_request_error", "unsupported_parameter"},
    {"context_too_long", 400, "invalid_request_error", "context_length_exceeded"},
    {"output_too_large", 400, "invalid_request_error", "output_too_large"},
    {"model_not_found", 404, "invalid_request_error", "model_not_found"},
    {"rate_limited", 429, "rate_limit_error", "rate_limit_exceeded"},
    {"timed_out", 504, "server_error", "timed_out"},
    {"backend_timed_out", 504, "server_error", "timed_out"},
    {"expired", 504, "server_error", "timed_out"},
    {"cancelled", 503, "server_error", "cancelled"},
}};

struct StatusAndCode {
  int status;
  const char* type;
  const char* code;
};
StatusAndCode of_kind(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return {400, "invalid_request_error", "invalid_request"};
    case ErrorKind::unsupported:
      return {400, "invalid_request_error", "unsupported_parameter"};
    case ErrorKind::forbidden:
      return {403, "permission_error", "forbidden"};
    case ErrorKind::not_found:
      return {404, "invalid_request_error", "model_not_found"};
    case ErrorKind::conflict:
      return {409, "invalid_request_error", "conflict"};
    case ErrorKind::too_large:
      return {413, "invalid_request_error", "request_too_large"};
    case ErrorKind::busy:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case ErrorKind::used_up:
      return {429, "insufficient_quota", "insufficient_quota"};
    case ErrorKind::full:
      return {507, "server_error", "insufficient_storage"};
    case ErrorKind::unavailable:
      return {503, "server_error", "unavailable"};
    case ErrorKind::internal:
      break;
  }
  return {500, "server_error", "internal_error"};
}

constexpr std::array openai_roots = {std::string_view("/v1"), std::string_view("/openai/v1")};

}  // namespace

Failure failure_of(const Error& error) {
  const StatusAndCode known = of_kind(error.kind);
  return {known.status, known.type, known.code, error.message, error.retry_after};
}

Failure failure_of(const TaskRecord& record) {
  const TaskError error = record.error.value_or(TaskError{std::string(to_string(record.state)), "", false, {}});
  std::string message =
      error.message.empty() ? "the task ended " + std::string(to_string(record.state)) : error.message;
  message += " (task " + record.id.str() + ")";
  const auto* known =
      std::find_if(codes.begin(), codes.end(), [&](const auto& c) { return c.task_code == error.code; });
  if (known != codes.end()) return {known->status, known->type, known->code, message};
  return {502, "server_error", error.code, message};
}

Failure failure_of_status(int status, const std::string& message) {
  if (status == 404) return {404, "invalid_request_error", "unknown_url", message};
  if (status >= 500) return {status, "server_error", status == 503 ? "unavailable" : "internal_error", message};
  return {status, "invalid_request_error", status == 413 ? "request_too_large" : "invalid_request", message};
}

bool has_openai_shape(std::string_view path) {
  return std::any_of(openai_roots.begin(), openai_roots.end(), [&](std::string_view root) {
    return path.starts_with(root) && (path.size() == root.size() || path[root.size()] == '/');
  });
}

std::string openai_view(const Failure& failure) {
  return dump(
      {{"error", {{"message", failure.message}, {"type", failure.type}, {"param", nullptr}, {"code", failure.code}}}});
}

http_server::Reply openai_reply(const Failure& failure) {
  http_server::Reply reply{failure.status, openai_view(failure), "application/json", {}, {}};
  if (failure.retry_after) reply.headers.add("Retry-After", protocol::retry_after(*failure.retry_after));
  return reply;
}

}  // namespace edgefleet::coordinator::llm
