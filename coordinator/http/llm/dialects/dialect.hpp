// One API for language models: it reads a question and writes answers. Everything in between is the same for all of
// them (answering.hpp). Dialects are independent of each other.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/channel.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "common/protocol/call_lines.hpp"
#include "coordinator/http/llm/dialects/bounds.hpp"
#include "coordinator/http/llm/dialects/failure.hpp"
#include "coordinator/http/llm/dialects/json_text.hpp"

namespace edgefleet::coordinator::llm {

// The members of a task's input that differ from those of the question's other tasks.
using OwnMembers = std::vector<std::pair<std::string, JsonText>>;

// The request of a client.
struct Question {
  Capability capability;  // llm.chat, llm.generate or llm.embed
  std::string model;
  JsonText input;  // of its tasks: the request without the members for this endpoint
  std::vector<OwnMembers> tasks = {{}};  // one each; an answer has the parts of all of them, in this order
  bool stream = false;
};

// Writes the answer to one question: whole, or as a stream, for which the functions return the next pieces. `part` is
// the index of a task.
class AnswerWriter {
 public:
  AnswerWriter() = default;
  AnswerWriter(const AnswerWriter&) = delete;
  AnswerWriter& operator=(const AnswerWriter&) = delete;
  AnswerWriter(AnswerWriter&&) = delete;
  AnswerWriter& operator=(AnswerWriter&&) = delete;
  virtual ~AnswerWriter() = default;

  // Called first: the id and time of the answer, the same in each piece.
  virtual void identify(const TaskId& task, WallTime now) = 0;

  // The result of one task; a later result for the same part replaces it. An error: its shape is unknown.
  virtual Status add(std::size_t part, const TaskRecord& record) = 0;
  virtual std::string whole() = 0;  // after the results of all tasks

  virtual std::string begin() = 0;
  virtual std::string text(std::size_t part, const std::string& text, Channel channel) = 0;  // content or reasoning
  // A line with a `call` begins one, or adds members to one that has begun.
  virtual std::string call(std::size_t, const protocol::CallLine&) { return {}; }
  // Everything after the last text and call of a part: finish reason. An error as from add().
  virtual Result<std::string> end_part(std::size_t part, const TaskRecord& record) = 0;
  virtual std::string end() = 0;  // after all parts: usage, the end mark
  virtual std::string failure(const Failure& failure) = 0;
  virtual std::string comment(const std::string& text) = 0;  // clients skip it; it keeps a connection open

  // The texts and calls of a result's output, to compare them with those already sent. An error as from add().
  [[nodiscard]] virtual std::string text_of(const JsonText& output, Channel channel) const = 0;
  [[nodiscard]] virtual Result<std::vector<protocol::ToolCall>> calls_of(const JsonText&) const {
    return std::vector<protocol::ToolCall>{};
  }
};

struct Asked {
  Question question;
  std::unique_ptr<AnswerWriter> writer;
};

// What a dialect does with a field of a request.
enum class FieldUse {
  mapped,    // to the form of a task's input
  endpoint,  // it concerns the answer only: no part of the input
};
std::string_view to_string(FieldUse use);

struct RequestField {
  std::string_view field;
  FieldUse use;
  std::string_view note;
};

struct Dialect {
  std::string path;  // below /v1
  // The fields that it uses itself; every other one is passed on in the input. docs/llm.md shows them, and a test
  // compares.
  std::span<const RequestField> fields;
  Result<Asked> (*read)(const std::string& body);
  http_server::Reply (*refuse)(const Failure& failure);
  const char* stream_type;
  // Of the inputs of all tasks of a request, for the bound of its body.
  std::size_t (*most_input_bytes)(std::size_t of_a_task);
};

}  // namespace edgefleet::coordinator::llm
