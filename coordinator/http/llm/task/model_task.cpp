#include "coordinator/http/llm/task/model_task.hpp"

#include "coordinator/http/caller.hpp"
#include "coordinator/http/llm/task/beginnings.hpp"
#include "coordinator/http/permits.hpp"
#include "coordinator/shell/texts.hpp"

namespace edgefleet::coordinator::llm {

void ModelTask::submit(TaskSpec spec, Events events) {
  events_ = std::move(events);
  phase_ = Phase::submitting;
  auto beginnings = beginnings_of(spec.input);
  if (!has_large_input(spec)) return submit_kept(std::move(spec), std::move(beginnings));
  if (const auto may = may_submit(parts_, caller_, spec.capability); !may) return events_.accepted(*this, may.error());
  responder_.run_upload(
      [self = shared_from_this(), spec = std::move(spec), beginnings = std::move(beginnings)]() mutable {
        const auto kept = keep_large_input(self->parts_.artifacts, spec, uploader_of(self->caller_));
        self->responder_.run([self, spec = std::move(spec), beginnings = std::move(beginnings), kept]() mutable {
          if (self->phase_ == Phase::abandoned) return;
          if (!kept) return self->events_.accepted(*self, kept.error());
          self->submit_kept(std::move(spec), std::move(beginnings));
        });
      });
}

void ModelTask::submit_kept(TaskSpec spec, std::vector<std::uint64_t> beginnings) {
  const auto listening = std::make_shared<Listening>();
  const auto listen = [hub = &parts_.hub, listening, weak = weak_from_this(),
                       responder = responder_](const TaskId& id) {
    listening->listener.emplace(*hub, id, [weak, responder] {
      responder.run([weak] {
        if (const auto self = weak.lock(); self && self->runs()) self->events_.news(*self);
      });
    });
  };
  parts_.loop.submit(
      present_submitter_of(caller_), {std::move(spec), {}, std::move(beginnings)},
      [self = shared_from_this(), listening](const Result<Acceptance>& accepted) {
        self->responder_.run([self, accepted, listening] { self->answered(accepted, listening); });
      },
      listen);
}

void ModelTask::answered(const Result<Acceptance>& accepted, std::shared_ptr<Listening> listening) {
  if (phase_ == Phase::abandoned) {
    if (accepted) cancel(accepted->id);
    return;
  }
  if (accepted) {
    id_ = accepted->id;
    listening_ = std::move(listening);
    phase_ = Phase::accepted;
  }
  events_.accepted(*this, accepted);
}

void ModelTask::abandon() {
  if (runs()) cancel(id_);
  phase_ = Phase::abandoned;
  listening_.reset();
}

bool ModelTask::keep(std::size_t bytes) {
  if (!parts_.hub.keep(bytes)) return false;
  kept_ += bytes;
  return true;
}

void ModelTask::end() {
  phase_ = Phase::ended;
  listening_.reset();
}

void ModelTask::cancel(const TaskId& id) {
  parts_.loop.cancel(id, [](const Result<TaskState>&) {});  // it may have ended in the meantime
}

}  // namespace edgefleet::coordinator::llm
