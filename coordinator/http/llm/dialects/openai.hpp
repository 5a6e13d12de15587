// Common parts of OpenAI's endpoints: reading a request, the envelope of an answer, events.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/http/llm/catalogue/catalogue.hpp"
#include "coordinator/http/llm/dialects/dialect.hpp"

namespace edgefleet::coordinator::llm {

// The dialects of OpenAI, one a file.
extern const Dialect chat_completions;  // /v1/chat/completions
extern const Dialect completions;       // /v1/completions
extern const Dialect embeddings;        // /v1/embeddings

namespace openai {

inline constexpr const char* event_stream = "text/event-stream";

// The members for this endpoint only, removed from `question.input`.
struct Options {
  bool include_usage = false;
  bool base64 = false;  // of embeddings
};
Result<Question> read(const std::string& body, const char* capability, Options& options);

// id, object, created and model: the same on each piece of an answer.
class Envelope {
 public:
  Envelope(std::string prefix, std::string model) : prefix_(std::move(prefix)), model_(std::move(model)) {}
  void identify(const TaskId& task, WallTime now);
  [[nodiscard]] Json around(const char* object) const;

 private:
  std::string prefix_;
  std::string model_;
  std::string id_;
  std::int64_t created_ = 0;  // Unix seconds
};

std::string event(const Json& json);  // data: {...}, and the empty line behind it
std::string comment(const std::string& text);
inline const std::string done = "data: [DONE]\n\n";
Json usage_of(const TaskRecord& record);  // null: unknown
const Json& choice_of(const Json& output);  // the first one, or null

// GET /v1/models
std::string model_view(const Offered& model, std::int64_t created);
std::string models_view(const std::vector<Offered>& models, std::int64_t created);

}  // namespace openai
}  // namespace edgefleet::coordinator::llm
