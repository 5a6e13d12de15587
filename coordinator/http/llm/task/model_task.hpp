// One task of a request, for one model: it is submitted, listened to, and abandoned if nobody needs it any more. Like
// the request it belongs to, it runs on the pool, in sequence.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "common/http_server/responder.hpp"
#include "coordinator/http/llm/task/sent_calls.hpp"
#include "coordinator/http/llm/task/sent_text.hpp"
#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator::llm {

class ModelTask : public std::enable_shared_from_this<ModelTask> {
 public:
  // What happens to it; nothing is reported after abandon() or end().
  struct Events {
    std::function<void(ModelTask&, const Result<Acceptance>&)> accepted;
    std::function<void(ModelTask&)> news;  // there is something to take()
  };
  ModelTask(const Parts& parts, http_server::Responder responder, http_server::Principal caller, std::size_t part)
      : parts_(parts), responder_(std::move(responder)), caller_(std::move(caller)), part_(part) {}

  ModelTask(const ModelTask&) = delete;
  ModelTask& operator=(const ModelTask&) = delete;
  ModelTask(ModelTask&&) = delete;
  ModelTask& operator=(ModelTask&&) = delete;
  ~ModelTask() { parts_.hub.let_go(kept_); }

  void submit(TaskSpec spec, Events events);
  void abandon();  // it is cancelled, if necessary as soon as it is accepted
  void end();  // its outcome has been read

  [[nodiscard]] std::size_t part() const { return part_; }  // of the answer
  [[nodiscard]] bool is_new() const { return phase_ == Phase::is_new; }
  [[nodiscard]] bool submitting() const { return phase_ == Phase::submitting; }
  [[nodiscard]] bool runs() const { return phase_ == Phase::accepted; }
  [[nodiscard]] const TaskId& id() const { return id_; }  // once it is accepted
  StreamHub::Listener::Heard take() { return listening_->listener->take(); }  // while it runs

  // Of a stream.
  // Whether as much more streamed text may be kept; what is not is like a gap in the stream.
  bool keep(std::size_t bytes);

  SentText sent;
  SentCalls sent_calls;

 private:
  enum class Phase { is_new, submitting, accepted, ended, abandoned };
  // Made on the loop's thread, before the task is sent.
  struct Listening {
    std::optional<StreamHub::Listener> listener;
  };
  void submit_kept(TaskSpec spec, std::vector<std::uint64_t> beginnings);
  void answered(const Result<Acceptance>& accepted, std::shared_ptr<Listening> listening);
  void cancel(const TaskId& id);

  const Parts parts_;
  const http_server::Responder responder_;
  const http_server::Principal caller_;
  const std::size_t part_;
  std::size_t kept_ = 0;  // bytes of streamed text
  Phase phase_ = Phase::is_new;
  Events events_;
  TaskId id_;
  std::shared_ptr<Listening> listening_;
};

}  // namespace edgefleet::coordinator::llm
