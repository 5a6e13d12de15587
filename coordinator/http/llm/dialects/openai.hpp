// Common parts of OpenAI's endpoints: reading a request, the views of models.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/fields.hpp"
#include "coordinator/http/llm/catalogue/catalogue.hpp"
#include "coordinator/http/llm/dialects/dialect.hpp"

namespace edgefleet::coordinator::llm {

// The dialects of OpenAI, one a file.
extern const Dialect chat_completions;  // /v1/chat/completions
extern const Dialect completions;       // /v1/completions
extern const Dialect embeddings;        // /v1/embeddings

namespace openai {

inline constexpr const char* event_stream = "text/event-stream";

// A request that is read as far as all endpoints have the same fields. `fields` refers to the body.
struct Reading {
  json::Fields fields;
  Question question;
  bool include_usage = false;

  // An error, if a field that was read from `fields` is invalid.
  [[nodiscard]] Status good() const { return fields.ok() ? success() : Status(fields.error()); }
};
Result<Reading> read(const std::string& body, const char* capability, std::span<const RequestField> fields);

// `n` answers to each of the alternatives in `question.tasks`: as many tasks, in the order of the choices.
Status multiply(Reading& reading);

// The elements of a list of texts, which `name` has. An error names the field; arrays of tokens are refused.
Result<std::vector<std::string_view>> texts(std::string_view name, std::string_view value, std::size_t most);

// The members of an object without these, to be passed on.
OwnMembers others(const json::Object& object, const std::vector<std::string_view>& known);
// Those of a result's output beside `answer`, the member that has the answer itself.
OwnMembers beside(std::string_view answer, std::string_view output);
// Those of all results; of equal names the first one counts.
void write_beside(const std::vector<OwnMembers>& results, json::ObjectWriter& into);

// GET /v1/models
std::string model_view(const Offered& model);
std::string models_view(const std::vector<Offered>& models);

}  // namespace openai
}  // namespace edgefleet::coordinator::llm
