#include "coordinator/http/llm/task/answering.hpp"

#include <algorithm>

#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/http/ask.hpp"
#include "coordinator/shell/texts.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr Duration keep_alive = std::chrono::seconds(10);
constexpr Duration watch_interval = std::chrono::seconds(1);
// A stream that fails within this time, before its first text, has the status of the failure: clients retry by status.
constexpr Duration head_patience = std::chrono::seconds(1);
constexpr Duration attempt_timeout = std::chrono::minutes(30);

Failure unknown_shape(const Error& error) { return {502, "server_error", "bad_answer", error.message}; }

Failure disagreement(const TaskId& task) {
  return {
      502, "server_error", "answer_changed",
      "the agent that had begun this answer was lost, and the answer of the agent that took over differs; try again "
      "(task " +
          task.str() + ")"};
}

}  // namespace

Answering::Answering(const Parts& parts, std::shared_ptr<const Catalogue> catalogue, const Dialect& dialect,
                     Asked asked, http_server::Principal caller, http_server::Responder responder,
                     std::shared_ptr<BoundedPlace> place, std::shared_ptr<http_server::ByteShare> share)
    : parts_(parts),
      catalogue_(std::move(catalogue)),
      dialect_(dialect),
      question_(std::move(asked.question)),
      caller_(std::move(caller)),
      writer_(std::move(asked.writer)),
      responder_(std::move(responder)),
      place_(std::move(place)),
      share_(std::move(share)),
      began_(monotonic_now()),
      quiet_since_(began_) {}

void Answering::start() {
  responder_.on_gone([self = shared_from_this()] { self->client_gone(); });
  responder_.after(loop_patience, [self = shared_from_this()] { self->fail(failure_of(no_answer_in_time())); });
  catalogue_->chain(responder_, question_.capability, question_.model,
                    [self = shared_from_this()](Result<std::vector<std::string>> chain) {
                      if (!chain) return self->fail(failure_of(chain.error()));
                      self->chain_ = std::move(*chain);
                      self->try_model(0);
                    });
}

// ---- the tasks

// All tasks have the same model: vectors of different models cannot be compared, and choices belong together.
void Answering::try_model(std::size_t at) {
  if (over_) return;
  abandon_tasks();
  at_ = at;
  ended_ = bytes_ = 0;
  for (std::size_t part = 0; part < question_.tasks.size(); ++part) {
    tasks_.push_back(std::make_shared<ModelTask>(parts_, responder_, caller_, part));
  }
  submit_more();
}

void Answering::submit_more() {
  auto free = most_at_once - static_cast<std::size_t>(std::count_if(tasks_.begin(), tasks_.end(), [](const auto& t) {
                return t->submitting() || t->runs();
              }));
  const ModelTask::Events events{[weak = weak_from_this()](ModelTask& task, const Result<Acceptance>& accepted) {
                                   if (const auto self = weak.lock()) self->accepted(task, accepted);
                                 },
                                 [weak = weak_from_this()](ModelTask& task) {
                                   if (const auto self = weak.lock()) self->take_news(task);
                                 }};
  for (const auto& task : tasks_) {
    if (free == 0) return;
    if (!task->is_new()) continue;
    auto spec = spec_of(task->part());
    if (!spec) return fail(failure_of(spec.error()));
    submitted_at_ = monotonic_now();
    task->submit(std::move(*spec), events);
    --free;
  }
  const bool another = std::ranges::any_of(tasks_, [](const auto& task) { return task->is_new(); });
  if (another || at_ + 1 < chain_.size()) return;
  question_.input = {};
  question_.tasks.clear();
  share_.reset();
}

Result<TaskSpec> Answering::spec_of(std::size_t part) const {
  TaskSpec spec;
  spec.capability = question_.capability;
  spec.input =
      json::with(json::Object::read(question_.input).value_or(json::Object{}), "model", json::quoted(chain_[at_]));
  for (const auto& [name, value] : question_.tasks[part]) {
    spec.input = json::with(json::Object::read(spec.input).value_or(json::Object{}), name, value);
  }
  if (spec.input.size() > parts_.max_task_bytes) {
    return Error{"the request has " + std::to_string(spec.input.size()) + " bytes; the limit for a task's input is " +
                     std::to_string(parts_.max_task_bytes) + " (--max-task-mb of the coordinator)",
                 ErrorKind::too_large};
  }
  spec.where = {{"model", chain_[at_]}};
  spec.timeout = attempt_timeout;
  return spec;
}

void Answering::accepted(ModelTask& task, const Result<Acceptance>& accepted) {
  if (over_) return;
  if (!accepted) return fail(failure_of(accepted.error()));
  if (responder_.gone()) return client_gone();
  if (!std::exchange(identified_, true)) {
    writer_->identify(accepted->id, wall_now());
    watch();
  }
  take_news(task);
}

void Answering::take_news(ModelTask& task) {
  if (over_) return;
  const auto heard = task.take();
  if (question_.stream) {
    std::string pieces;
    const bool agree = add_parts(task, heard.parts, pieces);
    send(std::move(pieces));
    if (!agree) return fail(disagreement(task.id()));
  }
  if (over_) return;
  if (heard.ended) return take_outcome(task);
  if (heard.stopped) fail(failure_of(Error{"the coordinator is being stopped", ErrorKind::unavailable}));
}

void Answering::take_outcome(ModelTask& task) {
  task.end();
  auto record = parts_.store.reader()->task(task.id());
  if (!record) return fail(failure_of(record.error()));
  if (!*record) return fail(failure_of(Error{"task " + task.id().str() + " no longer exists", ErrorKind::internal}));
  const auto turn = parts_.large_outputs.turn(**record);
  if (const auto loaded = load_output(parts_.artifacts, **record); !loaded) return fail(unknown_shape(loaded.error()));
  if ((**record).state == TaskState::succeeded) return take_result(task, **record);
  if (!try_next(**record)) fail(failure_of(**record));
}

void Answering::take_result(ModelTask& task, const TaskRecord& record) {
  bytes_ += record.output.size();
  if (bytes_ > most_answer_bytes) {
    return fail({400, "invalid_request_error", "output_too_large",
                 "the answer has more than " + std::to_string(most_answer_bytes) + " bytes; ask for less at a time"});
  }
  if (question_.stream) {
    auto pieces = end_part(task, record);
    if (!pieces) return;
    send(std::move(*pieces));
  } else if (const auto added = writer_->add(task.part(), record); !added) {
    return fail(unknown_shape(added.error()));
  }
  if (over_) return;
  if (++ended_ == tasks_.size()) return finish();
  submit_more();
}

void Answering::abandon_tasks() {
  for (const auto& task : tasks_) task->abandon();
  tasks_.clear();
}

bool Answering::submits() const {
  return std::any_of(tasks_.begin(), tasks_.end(), [](const auto& task) { return task->submitting(); });
}

ModelTask* Answering::running() const {
  const auto found = std::find_if(tasks_.begin(), tasks_.end(), [](const auto& task) { return task->runs(); });
  return found == tasks_.end() ? nullptr : found->get();
}

// ---- the answer

void Answering::begin_stream() {
  http_server::Reply head{200, {}, dialect_.stream_type, {}, {}};
  head.headers.add("Cache-Control", "no-cache");
  head.headers.add("X-Accel-Buffering", "no");
  stream_ = responder_.stream(std::move(head));
  if (!stream_->send(writer_->begin())) client_gone();
}

void Answering::send(std::string pieces) {
  if (pieces.empty() || over_) return;
  said_ = true;
  if (!stream_) begin_stream();
  if (over_) return;
  quiet_since_ = monotonic_now();
  if (!stream_->send(std::move(pieces))) client_gone();
}

bool Answering::add_parts(ModelTask& task, const std::vector<Part>& parts, std::string& pieces) {
  return std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
    if (!task.keep(part.text.size())) return true;  // it comes with the result
    return part.channel == Channel::tool_calls ? write_calls(task, task.sent_calls.add(part), pieces)
                                               : write_text(task, part.channel, task.sent.add(part), pieces);
  });
}

bool Answering::write_text(const ModelTask& task, Channel channel, const std::optional<std::string>& text,
                           std::string& pieces) {
  if (text && !text->empty()) pieces += writer_->text(task.part(), *text, channel);
  return text.has_value();
}

bool Answering::write_calls(const ModelTask& task, const std::optional<SentCalls::Lines>& lines, std::string& pieces) {
  for (const auto& line : lines.value_or(SentCalls::Lines{})) pieces += writer_->call(task.part(), line);
  return lines.has_value();
}

std::optional<std::string> Answering::end_part(ModelTask& task, const TaskRecord& record) {
  const auto calls = writer_->calls_of(record.output);
  const auto last = writer_->end_part(task.part(), record);
  if (!calls || !last) {
    fail(unknown_shape(calls ? last.error() : calls.error()));
    return std::nullopt;
  }
  std::string pieces;
  bool agrees = true;
  for (const Channel channel : {Channel::reasoning, Channel::content}) {
    const auto rest = task.sent.complete(channel, writer_->text_of(record.output, channel));
    agrees = agrees && write_text(task, channel, rest, pieces);
  }
  agrees = agrees && write_calls(task, task.sent_calls.complete(*calls), pieces);
  if (agrees) return pieces + *last;
  fail(disagreement(record.id));
  return std::nullopt;
}

void Answering::finish() {
  if (question_.stream) {
    send(writer_->end());
    if (stream_) stream_->end();
  } else {
    responder_.answer({200, writer_->whole(), "application/json", {}, {}});
  }
  end();
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

void Answering::client_gone() {
  if (!over_) end();
}

void Answering::end() {
  over_ = true;
  abandon_tasks();
  stream_.reset();
  responder_.answer(dialect_.refuse({499, "server_error", "client_gone", "the client has disconnected"}));
  place_.reset();
}

// ---- time

void Answering::watch() {
  const bool holds_head = question_.stream && !stream_;
  const Duration wait =
      holds_head ? std::max<Duration>(head_patience - (monotonic_now() - began_), Duration{0}) : watch_interval;
  responder_.after(wait, [self = shared_from_this()] { self->look_after(); });
}

bool Answering::is_quiet() const { return stream_ && monotonic_now() - quiet_since_ > keep_alive; }

void Answering::look_after() {
  if (over_) return;
  if (question_.stream && !stream_) begin_stream();
  if (submits() && monotonic_now() - submitted_at_ > loop_patience) return fail(failure_of(no_answer_in_time()));
  if (over_) return;
  watch();
  const ModelTask* task = running();
  if (asking_ || task == nullptr) return;
  if (!said_ && at_ + 1 < chain_.size()) {
    leave_lost(task->id());
  } else if (is_quiet()) {
    explain_silence(task->id());
  }
}

// A task failed, nothing was sent yet, and another model may serve the request: tries the next one of the chain.
bool Answering::try_next(const TaskRecord& record) {
  const bool elsewhere = !record.error || record.error->retryable || record.error->code == "not_supported";
  if (said_ || record.state == TaskState::cancelled || !elsewhere || at_ + 1 >= chain_.size()) return false;
  try_model(at_ + 1);
  return true;
}

// Without this, the task would wait until its agent is back.
void Answering::leave_lost(const TaskId& task) {
  asking_ = true;
  catalogue_->next(responder_, task, chain_, at_,
                   [self = shared_from_this(), at = at_, task](const Result<std::size_t>& next) {
                     self->asking_ = false;
                     if (self->over_ || self->said_ || self->at_ != at) return;
                     if (next && *next < self->chain_.size()) return self->try_model(*next);
                     if (self->is_quiet()) self->explain_silence(task);
                   });
}

void Answering::explain_silence(const TaskId& task) {
  asking_ = true;
  look<std::string>(
      parts_.loop, responder_,
      [task](const State& state, Now now) {
        const auto found = state.tasks.find(task);
        return found == state.tasks.end() ? std::string() : explain_task(state, found->second, now.mono);
      },
      [self = shared_from_this()](const Result<std::string>& why) {
        self->asking_ = false;
        if (self->over_ || !self->stream_) return;
        self->quiet_since_ = monotonic_now();
        const auto comment =
            self->writer_->comment(why && !why->empty() ? *why : "the model is loading or reading the prompt");
        if (!self->stream_->send(comment)) self->client_gone();
      });
}

}  // namespace edgefleet::coordinator::llm
