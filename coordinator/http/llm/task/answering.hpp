// One request to a model until it is answered: its task, the models left to try, and the text sent to the client.
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
#include "coordinator/http/llm/task/sent_text.hpp"
#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator::llm {

class Answering : public std::enable_shared_from_this<Answering> {
 public:
  Answering(const Parts& parts, std::shared_ptr<const Catalogue> catalogue, const Dialect& dialect, Asked asked,
            http_server::Responder responder, std::shared_ptr<BoundedPlace> place);

  void start();

 private:
  // The task of one model. Its listener is made on the loop's thread, before the task is sent.
  struct Try {
    std::size_t at = 0;  // in the chain
    TaskId id;
    std::optional<StreamHub::Listener> listener;
  };

  void submit(std::size_t at);
  void submitted(const std::shared_ptr<Try>& made, const Result<Acceptance>& accepted);
  void begin_stream();
  void on_update();  // processes the news of the listener
  void outcome();
  void finish(const TaskRecord& record);
  [[nodiscard]] std::string ending(const TaskRecord& record);
  [[nodiscard]] bool try_next(const TaskRecord& record);
  // Adds the new text of the parts; false: it differs from the text already sent.
  [[nodiscard]] bool add_parts(const std::vector<Part>& parts, std::string& pieces);
  void send(std::string pieces);
  void watch();  // periodic: checks that the model can still be served, and sends keep-alives
  void leave_lost();
  void explain_silence();
  void fail(const Failure& failure);
  void client_gone();
  void cancel(const TaskId& id);
  void end();
  [[nodiscard]] Failure disagreement() const;

  const Parts parts_;
  const std::shared_ptr<const Catalogue> catalogue_;
  const Dialect& dialect_;
  Question question_;
  std::unique_ptr<AnswerWriter> writer_;
  http_server::Responder responder_;
  std::shared_ptr<BoundedPlace> place_;

  std::vector<std::string> chain_;
  std::shared_ptr<Try> try_;  // nullptr: no task has been accepted yet
  bool submitting_ = false;   // another try has been submitted and is not accepted yet
  bool identified_ = false;
  SentText sent_;
  std::optional<http_server::Stream> stream_;
  Time quiet_since_{};
  bool asking_ = false;  // watch() waits for an answer of the loop
  bool over_ = false;
};

}  // namespace edgefleet::coordinator::llm
