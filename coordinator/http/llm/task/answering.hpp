// One request to a model until it is answered: its tasks, the models left to try, and what was sent to the client.
// Everything runs on the pool, in sequence for one request; a waiting request holds no thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/http_server/responder.hpp"
#include "coordinator/http/bounded_place.hpp"
#include "coordinator/http/llm/catalogue/catalogue.hpp"
#include "coordinator/http/llm/dialects/dialect.hpp"
#include "coordinator/http/llm/task/model_task.hpp"
#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator::llm {

class Answering : public std::enable_shared_from_this<Answering> {
 public:
  Answering(const Parts& parts, std::shared_ptr<const Catalogue> catalogue, const Dialect& dialect, Asked asked,
            http_server::Principal caller, http_server::Responder responder, std::shared_ptr<BoundedPlace> place,
            std::shared_ptr<http_server::ByteShare> share);

  void start();

 private:
  // ---- the tasks, all of the same model
  void try_model(std::size_t at);  // of the chain; tasks of the model before are abandoned
  void submit_more();
  [[nodiscard]] Result<TaskSpec> spec_of(std::size_t part) const;
  void accepted(ModelTask& task, const Result<Acceptance>& accepted);
  void take_news(ModelTask& task);
  void take_outcome(ModelTask& task);
  void take_result(ModelTask& task, const TaskRecord& record);
  void abandon_tasks();
  [[nodiscard]] bool submits() const;  // a task is not accepted yet
  [[nodiscard]] ModelTask* running() const;  // the first one, or nullptr

  // ---- the answer
  void begin_stream();
  // Adds what is new in the parts; false: it differs from what was sent.
  [[nodiscard]] bool add_parts(ModelTask& task, const std::vector<Part>& parts, std::string& pieces);
  [[nodiscard]] bool write_text(const ModelTask& task, Channel channel, const std::optional<std::string>& text,
                                std::string& pieces);
  [[nodiscard]] bool write_calls(const ModelTask& task, const std::optional<SentCalls::Lines>& lines,
                                 std::string& pieces);
  // The last pieces of a part; no value: the answer differs, or the shape of the result is unknown, and the request has
  // failed.
  [[nodiscard]] std::optional<std::string> end_part(ModelTask& task, const TaskRecord& record);
  void send(std::string pieces);
  void finish();
  void fail(const Failure& failure);
  void client_gone();
  void end();

  // ---- time
  void watch();
  void look_after();
  [[nodiscard]] bool is_quiet() const;
  [[nodiscard]] bool try_next(const TaskRecord& record);
  void leave_lost(const TaskId& task);
  void explain_silence(const TaskId& task);

  const Parts parts_;
  const std::shared_ptr<const Catalogue> catalogue_;
  const Dialect& dialect_;
  Question question_;
  const http_server::Principal caller_;
  std::unique_ptr<AnswerWriter> writer_;
  http_server::Responder responder_;
  std::shared_ptr<BoundedPlace> place_;
  std::shared_ptr<http_server::ByteShare> share_;  // of the question, until no further task is made of it
  const Time began_;

  std::vector<std::string> chain_;
  std::size_t at_ = 0;  // in the chain
  std::vector<std::shared_ptr<ModelTask>> tasks_;
  std::size_t ended_ = 0;  // tasks with a result
  std::size_t bytes_ = 0;  // of these results
  Time submitted_at_{};
  bool identified_ = false;
  std::optional<http_server::Stream> stream_;
  bool said_ = false;  // text was sent: no other model can answer any more
  Time quiet_since_;  // the request came, or something was sent
  bool asking_ = false;  // look_after() waits for an answer of the loop
  bool over_ = false;
};

}  // namespace edgefleet::coordinator::llm
