// Common parts of OpenAI's endpoints: reading a request, an answer with choices, the views of models.
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

template <typename Writer>
Result<Asked> read(const std::string& body, const char* capability) {
  Options options;
  auto question = read(body, capability, options);
  if (!question) return question.error();
  auto writer = std::make_unique<Writer>(*question, options);
  return Asked{std::move(*question), std::move(writer)};
}

// An answer that has choices. A subclass knows the content of one choice.
class ChoicesWriter : public AnswerWriter {
 public:
  void identify(const TaskId& task, WallTime now) final;
  std::string whole(const TaskRecord& record) final;
  std::string end(const TaskRecord& record, const Json& output) final;
  std::string failure(const Failure& failure) final;
  std::string comment(const std::string& text) final;

 protected:
  struct Form {
    const char* id_prefix;
    const char* whole;    // `object` of the whole answer
    const char* piece;    // `object` of a piece
    const char* content;  // the member of a choice that has the content of a piece
  };
  ChoicesWriter(const Form& form, const Question& question, const Options& options)
      : form_(form), model_(question.model), include_usage_(options.include_usage) {}
  [[nodiscard]] std::string piece(const Json& content, const Json& finish_reason = nullptr) const;

 private:
  [[nodiscard]] virtual std::string end_choice(const Json& choice) const = 0;
  // id, object, created and model: the same on each piece of an answer, except `object`.
  [[nodiscard]] Json envelope(const char* object) const;

  const Form form_;
  const std::string model_;
  const bool include_usage_;
  std::string id_;
  std::int64_t created_ = 0;  // Unix seconds
};

Json usage_of(const TaskRecord& record);  // null: unknown
const Json& choice_of(const Json& output);  // the first one, or null

// GET /v1/models
std::string model_view(const Offered& model, std::int64_t created);
std::string models_view(const std::vector<Offered>& models, std::int64_t created);

}  // namespace openai
}  // namespace edgefleet::coordinator::llm
