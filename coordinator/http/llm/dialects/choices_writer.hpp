// An answer that has choices, one for each task: chat completions and completions. A subclass knows the content of one
// choice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/protocol/json.hpp"
#include "coordinator/http/llm/dialects/dialect.hpp"
#include "coordinator/http/llm/dialects/usage.hpp"

namespace edgefleet::coordinator::llm::openai {

struct Reading;

class ChoicesWriter : public AnswerWriter {
 public:
  void identify(const TaskId& task, WallTime now) final;
  Status add(std::size_t part, const TaskRecord& record) final;
  std::string whole() final;
  std::string begin() final;
  Result<std::string> end_part(std::size_t part, const TaskRecord& record) final;
  std::string end() final;
  std::string failure(const Failure& failure) final;
  std::string comment(const std::string& text) final;

 protected:
  struct Form {
    const char* id_prefix;
    const char* whole;    // `object` of the whole answer
    const char* piece;    // `object` of a piece
    const char* content;  // the member of a choice that has the content of a piece
  };
  ChoicesWriter(const Form& form, const Reading& reading);
  struct Piece {  // of a choice
    JsonText content;
    JsonText finish_reason = "null";
    OwnMembers more = {};  // members of the choice
  };
  // `more`: members beside the choices.
  [[nodiscard]] std::string event_of(std::size_t part, const Piece& piece, const OwnMembers& more = {}) const;

 private:
  [[nodiscard]] virtual std::string begin_part(std::size_t part) const = 0;
  // The choice of a whole answer, from that of a result.
  [[nodiscard]] virtual JsonText shown(const json::Object& choice) const { return json::without(choice, {}); }
  [[nodiscard]] virtual Piece end_of(const json::Object& choice) const = 0;
  // id, object, created and model: the same on each piece of an answer, except `object`.
  void write_envelope(json::ObjectWriter& answer, const char* object) const;

  const Form form_;
  const std::string model_;
  const bool include_usage_;
  std::string id_;
  std::int64_t created_ = 0;  // Unix seconds
  std::vector<JsonText> choices_;
  std::vector<OwnMembers> beside_;  // the choices, of each result
  UsageSum usage_;
};

// The first choice of a result's output; no value: it has none.
std::optional<json::Object> choice_of(std::string_view output);

}  // namespace edgefleet::coordinator::llm::openai
