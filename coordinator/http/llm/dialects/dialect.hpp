// One API for language models: it reads a question and writes answers. Everything in between is the same for all of
// them (answering.hpp). Dialects are independent of each other.
#pragma once

#include <memory>
#include <string>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "coordinator/http/llm/dialects/failure.hpp"
#include "coordinator/http/llm/dialects/json_text.hpp"

namespace edgefleet::coordinator::llm {

// The request of a client.
struct Question {
  Capability capability;  // llm.chat, llm.generate or llm.embed
  std::string model;
  JsonText input;  // of the task: the request without the members for this endpoint
  bool stream = false;
};

// Writes the answer to one question: whole, or as a stream, for which each function returns the next piece.
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
  virtual std::string whole(const TaskRecord& record) = 0;

  virtual std::string begin() = 0;
  virtual std::string text(const std::string& text, bool reasoning) = 0;
  // Everything after the last text: tool calls, finish reason, usage, the end mark.
  virtual std::string end(const TaskRecord& record, const Json& output) = 0;
  virtual std::string failure(const Failure& failure) = 0;
  virtual std::string comment(const std::string& text) = 0;  // clients skip it; it keeps a connection open

  // The text of a result's output, to compare it with the text already sent.
  [[nodiscard]] virtual std::string text_of(const Json& output, bool reasoning) const = 0;
};

struct Asked {
  Question question;
  std::unique_ptr<AnswerWriter> writer;
};

struct Dialect {
  Result<Asked> (*read)(const std::string& body);
  http_server::Reply (*refuse)(const Failure& failure);
  const char* stream_type;
};

}  // namespace edgefleet::coordinator::llm
