// What goes wrong with a request to a model, in the words that clients of such APIs know.
#pragma once

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
};
Failure failure_of(const Error& error);        // of the coordinator
Failure failure_of(const TaskRecord& record);  // of a task that has ended without success
Failure failure_of_status(int status, const std::string& message);  // of the HTTP server

// Whether clients of this path read errors in OpenAI's shape only.
bool has_openai_shape(std::string_view path);
std::string openai_view(const Failure& failure);  // {"error":{"message","type","param","code"}}
http_server::Reply openai_reply(const Failure& failure);

}  // namespace edgefleet::coordinator::llm
