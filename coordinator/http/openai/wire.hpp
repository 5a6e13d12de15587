// OpenAI's shapes, in and out. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "coordinator/core/event.hpp"

namespace edgefleet::coordinator::openai {

using Json = nlohmann::json;

// As text; what is not UTF-8 is replaced.
std::string dump(const Json& json);

enum class Endpoint { chat, completions, embeddings };

// An error as OpenAI's clients read it.
struct Failure {
  int status = 500;
  std::string type;
  std::string code;
  std::string message;
};
std::string failure_view(const Failure& failure);
Failure failure_of(const Error& error);          // of the coordinator
Failure failure_of(const TaskRecord& record);    // of a task that has ended without success

// What a client asks for.
struct Question {
  Endpoint endpoint = Endpoint::chat;
  std::string model;
  Json body;  // the task's input, less what is for the door alone
  bool stream = false;
  bool include_usage = false;
  bool base64 = false;  // of embeddings
};
Result<Question> read_question(Endpoint endpoint, const std::string& body);
Capability capability_of(Endpoint endpoint);

// An answer's envelope: the same id and time on every piece of it.
struct Envelope {
  Endpoint endpoint = Endpoint::chat;
  std::string id;
  std::int64_t created = 0;  // Unix seconds
  std::string model;
};
Envelope envelope_of(const Question& question, const TaskId& task, WallTime now);

std::string answer_view(const Envelope& envelope, const TaskRecord& record, bool base64);

// Pieces of a stream, each `data: {...}` with the empty line behind it.
std::string role_event(const Envelope& envelope);
std::string text_event(const Envelope& envelope, const std::string& text, bool reasoning);
std::string tool_calls_event(const Envelope& envelope, const Json& calls);
std::string finish_event(const Envelope& envelope, const Json& choice);
std::string usage_event(const Envelope& envelope, const TaskRecord& record);
std::string failure_event(const Failure& failure);
inline const std::string done_event = "data: [DONE]\n\n";
std::string comment_event(const std::string& text);  // clients skip it; it keeps a connection open

// Members of a result's output.
Json output_of(const TaskRecord& record);
const Json& choice_of(const Json& output);  // the first one, or null
std::string text_of(const Json& choice, Endpoint endpoint, bool reasoning);

struct Offered {
  std::string model;
  std::string owner;  // the provider, or the fleet of an alias
};
std::string model_view(const Offered& model, std::int64_t created);
std::string models_view(const std::vector<Offered>& models, std::int64_t created);

}  // namespace edgefleet::coordinator::openai
