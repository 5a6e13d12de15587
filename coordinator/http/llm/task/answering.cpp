#include "coordinator/http/llm/task/answering.hpp"

#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/http/ask.hpp"
#include "coordinator/http/llm/task/beginnings.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr Duration keep_alive = std::chrono::seconds(10);
constexpr Duration watch_interval = std::chrono::seconds(2);
constexpr Duration attempt_timeout = std::chrono::minutes(30);

}  // namespace

Answering::Answering(const Parts& parts, std::shared_ptr<const Catalogue> catalogue, const Dialect& dialect,
                     Asked asked, http_server::Responder responder, std::shared_ptr<BoundedPlace> place)
    : parts_(parts),
      catalogue_(std::move(catalogue)),
      dialect_(dialect),
      question_(std::move(asked.question)),
      writer_(std::move(asked.writer)),
      responder_(std::move(responder)),
      place_(std::move(place)) {}

void Answering::start() {
  responder_.on_gone([self = shared_from_this()] { self->client_gone(); });
  responder_.after(loop_patience, [self = shared_from_this()] { self->fail(failure_of(no_answer_in_time())); });
  catalogue_->chain(responder_, question_.capability, question_.model,
                    [self = shared_from_this()](Result<std::vector<std::string>> chain) {
                      if (!chain) return self->fail(failure_of(chain.error()));
                      self->chain_ = std::move(*chain);
                      self->submit(0);
                    });
}

// ---- the task

void Answering::submit(std::size_t at) {
  if (over_) return;
  TaskSpec spec;
  spec.capability = question_.capability;
  const auto request = json::Object::read(question_.input).value_or(json::Object{});
  spec.input = json::with(request, "model", json::quoted(chain_[at]));
  if (spec.input.size() > limits::input_bytes) {
    return fail(failure_of(Error{"the request has " + std::to_string(spec.input.size()) +
                                     " bytes; the limit for a task's input is " + std::to_string(limits::input_bytes),
                                 ErrorKind::too_large}));
  }
  spec.where = {{"model", chain_[at]}};
  spec.timeout = attempt_timeout;
  const auto made = std::make_shared<Try>();
  made->at = at;
  submitting_ = true;
  const auto listen = [hub = &parts_.hub, made, weak = weak_from_this(), responder = responder_](const TaskId& id) {
    made->listener.emplace(*hub, id, [weak, responder] {
      responder.run([weak] {
        if (const auto self = weak.lock()) self->on_update();
      });
    });
  };
  parts_.loop.submit(
      std::string(Loop::present_client), {spec, {}, beginnings_of(spec.input)},
      [self = shared_from_this(), made](const Result<Acceptance>& accepted) {
        self->responder_.run([self, made, accepted] { self->submitted(made, accepted); });
      },
      listen);
}

void Answering::submitted(const std::shared_ptr<Try>& made, const Result<Acceptance>& accepted) {
  submitting_ = false;
  if (!accepted) return fail(failure_of(accepted.error()));
  if (over_) return cancel(accepted->id);
  made->id = accepted->id;
  try_ = made;
  if (responder_.gone()) return client_gone();
  if (!std::exchange(identified_, true)) writer_->identify(accepted->id, wall_now());
  if (question_.stream && !stream_) begin_stream();
  watch();
  on_update();
}

void Answering::cancel(const TaskId& id) {
  parts_.loop.cancel(id, [](const Result<TaskState>&) {});  // it may have ended in the meantime
}

void Answering::client_gone() {
  if (over_) return;
  if (try_) cancel(try_->id);
  end();
}

void Answering::end() {
  over_ = true;
  try_.reset();
  stream_.reset();
  responder_.answer(dialect_.refuse({499, "server_error", "client_gone", "the client has disconnected"}));
  place_.reset();
}

void Answering::fail(const Failure& failure) {
  if (over_) return;
  if (stream_) {
    (void)stream_->send(writer_->failure(failure));
    stream_->end();
  } else {
    responder_.answer(dialect_.refuse(failure));
  }
  end();
}

// ---- the answer

void Answering::begin_stream() {
  http_server::Reply head{200, {}, dialect_.stream_type, {}, {}};
  head.headers.add("Cache-Control", "no-cache");
  head.headers.add("X-Accel-Buffering", "no");
  stream_ = responder_.stream(std::move(head));
  quiet_since_ = monotonic_now();
  send(writer_->begin());
}

void Answering::send(std::string pieces) {
  if (pieces.empty() || over_) return;
  quiet_since_ = monotonic_now();
  if (!stream_->send(std::move(pieces))) client_gone();
}

void Answering::on_update() {
  if (over_ || submitting_ || !try_) return;
  const auto heard = try_->listener->take();
  if (stream_) {
    std::string pieces;
    const bool agree = add_parts(heard.parts, pieces);
    send(std::move(pieces));
    if (!agree && !over_) {
      cancel(try_->id);
      return fail(disagreement());
    }
  }
  if (over_) return;
  if (heard.ended) return outcome();
  if (heard.stopped) fail(failure_of(Error{"the coordinator is being stopped", ErrorKind::unavailable}));
}

bool Answering::add_parts(const std::vector<Part>& parts, std::string& pieces) {
  for (const Part& part : parts) {
    const auto text = sent_.add(part);
    if (!text) return false;
    if (!text->empty()) pieces += writer_->text(*text, part.reasoning);
  }
  return true;
}

void Answering::outcome() {
  const auto record = parts_.store.reader()->task(try_->id);
  if (!record) return fail(failure_of(record.error()));
  if (!*record) return fail(failure_of(Error{"task " + try_->id.str() + " no longer exists", ErrorKind::internal}));
  const bool succeeded = (**record).state == TaskState::succeeded;
  if (!succeeded && !sent_.anything() && try_next(**record)) return;
  if (!succeeded) return fail(failure_of(**record));
  finish(**record);
}

void Answering::finish(const TaskRecord& record) {
  if (!stream_) {
    responder_.answer({200, writer_->whole(record), "application/json", {}, {}});
    return end();
  }
  (void)stream_->send(ending(record));
  stream_->end();
  end();
}

std::string Answering::ending(const TaskRecord& record) {
  const Json output = Json::parse(record.output, nullptr, false);
  std::string pieces;
  for (const bool reasoning : {true, false}) {
    const auto rest = sent_.complete(reasoning, writer_->text_of(output, reasoning));
    if (!rest) return writer_->failure(disagreement());
    if (!rest->empty()) pieces += writer_->text(*rest, reasoning);
  }
  return pieces + writer_->end(record, output);
}

Failure Answering::disagreement() const {
  return {
      502, "server_error", "answer_changed",
      "the agent that had begun this answer was lost, and the answer of the agent that took over differs; try again "
      "(task " +
          try_->id.str() + ")"};
}

// ---- models that become unavailable

// Nothing was sent yet and the model is unavailable: tries the next one of the chain.
bool Answering::try_next(const TaskRecord& record) {
  const bool hopeless = record.error && !record.error->retryable;
  if (record.state == TaskState::cancelled || hopeless || try_->at + 1 >= chain_.size()) return false;
  sent_ = {};  // another task, with attempts of its own
  submit(try_->at + 1);
  return true;
}

void Answering::watch() {
  if (over_) return;
  responder_.after(watch_interval, [self = shared_from_this()] { self->watch(); });
  if (asking_ || submitting_) return;
  if (!sent_.anything() && try_->at + 1 < chain_.size()) {
    leave_lost();
  } else if (stream_ && monotonic_now() - quiet_since_ > keep_alive) {
    explain_silence();
  }
}

// Without this, the task would wait until its agent is back.
void Answering::leave_lost() {
  asking_ = true;
  catalogue_->next(responder_, try_->id, chain_, try_->at,
                   [self = shared_from_this(), left = try_->id](const Result<std::size_t>& next) {
                     self->asking_ = false;
                     if (self->over_ || self->submitting_ || self->sent_.anything() || self->try_->id != left) return;
                     if (next && *next < self->chain_.size()) {
                       self->sent_ = {};
                       self->submit(*next);
                       return self->cancel(left);
                     }
                     if (self->stream_ && monotonic_now() - self->quiet_since_ > keep_alive) self->explain_silence();
                   });
}

void Answering::explain_silence() {
  asking_ = true;
  look<std::string>(
      parts_.loop, responder_,
      [id = try_->id](const State& state, Now now) {
        const auto task = state.tasks.find(id);
        return task == state.tasks.end() ? std::string() : explain_task(state, task->second, now.mono);
      },
      [self = shared_from_this()](const Result<std::string>& why) {
        self->asking_ = false;
        if (self->over_) return;
        self->send(self->writer_->comment(why && !why->empty() ? *why : "the model is loading or reading the prompt"));
      });
}

}  // namespace edgefleet::coordinator::llm
