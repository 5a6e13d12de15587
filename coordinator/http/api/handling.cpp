#include "coordinator/http/api/handling.hpp"

#include "common/protocol/artifacts.hpp"
#include "common/protocol/json.hpp"
#include "coordinator/http/bounded_place.hpp"

namespace edgefleet::coordinator {
namespace {

class LongPoll : public std::enable_shared_from_this<LongPoll> {
 public:
  LongPoll(WaitBound& bound, Responder responder, Poll poll)
      : place_(std::in_place, bound.taken, bound.most), responder_(std::move(responder)), poll_(std::move(poll)) {}

  [[nodiscard]] bool has_place() const { return place_->granted(); }

  void start(Waiters& waiters, const Ulid& id, double seconds) {
    // Registered before reading the store, so that an outcome in between is not missed.
    ticket_.emplace(waiters, id, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->responder_.run([self] { self->end(); });
    });
    if (auto reply = poll_.finished()) return answer(std::move(*reply));
    responder_.on_gone([self = shared_from_this()] { self->end(); });
    responder_.after(Duration{static_cast<std::int64_t>(seconds * 1e9)}, [self = shared_from_this()] { self->end(); });
  }

 private:
  void end() {
    if (!ticket_) return;
    if (auto reply = poll_.finished()) return answer(std::move(*reply));
    stop();
    poll_.otherwise(responder_);
  }

  void answer(Reply reply) {
    stop();
    responder_.answer(std::move(reply));
  }

  void stop() {
    ticket_.reset();
    place_.reset();
  }

  std::optional<BoundedPlace> place_;
  Responder responder_;
  Poll poll_;
  std::optional<Waiters::Ticket> ticket_;  // no value: it has been answered
};

}  // namespace

Status check_task(const Parts& parts, const TaskSpec& spec) {
  if (auto allowed = parts.loop.rules().check(spec.capability, spec.input); !allowed) return allowed;
  for (const auto& artifact : protocol::artifacts_in(spec.input)) {
    if (auto leased = parts.artifacts.lease(artifact); !leased)
      return Error{leased.error().message, ErrorKind::invalid};
  }
  return success();
}

Reply located(int status, std::string body, const std::string& location) {
  auto reply = json_reply(status, std::move(body));
  reply.headers.add("Location", location);
  return reply;
}

Reply accepted_object(const char* key, const std::string& name, std::string_view state) {
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string(key, name);
    object.string("state", state);
  }
  return json_reply(202, body);
}

Error no_such_task(const TaskId& id) { return Error{"task " + id.str() + " is not known", ErrorKind::not_found}; }

std::optional<TaskId> seen_task(const Parts& parts, const Request& request, const Responder& responder) {
  auto id = id_in<TaskId>(request, responder, "task");
  if (!id || !sees_own_only(request.principal)) return id;
  const auto record = parts.store.reader()->task(*id);
  if (record && *record && may_see(request.principal, (**record).submitter)) return id;
  responder.answer(problem(record ? no_such_task(*id) : record.error()));
  return std::nullopt;
}

void wait_for(const Parts& parts, const Ulid& id, double seconds, const Responder& responder, Poll poll) {
  if (seconds > 0) {
    const auto waiting = std::make_shared<LongPoll>(parts.waiting, responder, std::move(poll));
    if (waiting->has_place()) return waiting->start(parts.waiters, id, seconds);
    return responder.answer(problem(Error{
        std::to_string(parts.waiting.most) + " requests are waiting already; try again later, or ask without `wait`",
        ErrorKind::unavailable}));
  }
  auto reply = poll.finished();
  reply ? responder.answer(std::move(*reply)) : poll.otherwise(responder);
}

}  // namespace edgefleet::coordinator
