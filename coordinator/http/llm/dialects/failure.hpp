// Failures of model requests, with the types and codes that clients of such APIs expect.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/http_server/message.hpp"
#include "coordinator/core/event.hpp"

namespace edgefleet::coordinator::llm {

struct Failure {
  int status = 500;
  std::string type;  // OpenAI's
  std::string code;
  std::string message;
  std::optional<Duration> retry_after{};
};
Failure failure_of(const Error& error);        // of the coordinator
Failure failure_of(const TaskRecord& record);  // of a task that has ended without success
Failure failure_of_status(int status, const std::string& message);  // of the HTTP server

// True if clients of this path read only errors in OpenAI's shape.
bool has_openai_shape(std::string_view path);
std::string openai_view(const Failure& failure);  // {"error":{"message","type","param","code"}}
http_server::Reply openai_reply(const Failure& failure);

}  // namespace edgefleet::coordinator::llm
