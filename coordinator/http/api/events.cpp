// /api/v1/events and /api/v1/tasks/{id}/events: server-sent events.
#include <atomic>
#include <sstream>

#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "coordinator/events/journal.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/http/bounded_place.hpp"

namespace edgefleet::coordinator {
namespace {

using events::Event;
using events::EventId;
using events::Filter;
using events::Journal;
using events::Type;

constexpr Duration keep_alive = std::chrono::seconds(15);
constexpr Duration pace = std::chrono::milliseconds(20);  // between two pieces for one client
constexpr std::size_t events_at_once = 500;
// A client that has so much to read gets nothing more, so that those who never read take no memory from others; after a
// while it is disconnected.
constexpr std::size_t most_unsent = std::size_t{64} * 1024;
constexpr Duration catch_up = std::chrono::seconds(5);

std::string text_of(const EventId& id, const Event& event) {
  return "id: " + id.str() + "\nevent: " + std::string(to_string(type_of(event))) + "\ndata: " + data_of(event) +
         "\n\n";
}

// Events are missing: they are older than those that are kept, or of a coordinator that has ended.
std::string gap(const EventId& now) {
  return "id: " + now.str() +
         "\nevent: gap\ndata: {\"detail\":\"events are missing before this one; read the lists again\"}\n\n";
}

// A client's last id without an event, so that it continues from there.
std::string position(const EventId& now, std::string_view comment) {
  return "id: " + now.str() + "\n: " + std::string(comment) + "\n\n";
}

std::string text_of(const Part& part) {
  std::string data;
  {
    json::ObjectWriter object(data);
    object.string("agent", part.agent.str());
    object.integer("attempt", part.attempt);
    object.string("channel", to_string(part.channel));
    object.unsigned_integer("at", part.at);
    object.string("text", part.text);
  }
  return "event: output\ndata: " + data + "\n\n";
}

// One client. Its callbacks run one at a time.
class EventStream : public std::enable_shared_from_this<EventStream> {
 public:
  EventStream(const Parts& parts, const http_server::Principal& caller, Responder responder, Filter filter)
      : parts_(parts),
        place_(std::in_place, parts.waiting, std::string(client_of(caller.name))),
        responder_(std::move(responder)),
        filter_(std::move(filter)) {}

  [[nodiscard]] const std::optional<Error>& refusal() const { return place_->refusal(); }

  // Any thread.
  void listen(const std::optional<EventId>& since) { listener_.emplace(parts_.journal, since, waker()); }
  void listen_to_output(const TaskId& task) { output_.emplace(parts_.hub, task, waker()); }
  StreamHub& hub() { return parts_.hub; }

  // `first`: the state of the task that is followed.
  void start(const std::optional<Event>& first) {
    Reply head{200, {}, "text/event-stream", {}, {}};
    head.headers.add("Cache-Control", "no-cache");
    head.headers.add("X-Accel-Buffering", "no");
    stream_ = responder_.stream(std::move(head));
    responder_.on_gone([self = shared_from_this()] { self->end(); });
    if (first) send("event: task\ndata: " + data_of(*first) + "\n\n");
    if (first && ended(std::get<events::TaskEvent>(first->what).state)) return finish();
    look();
  }

  void refuse(const Error& error) {
    responder_.answer(problem(error));
    end();
  }

 private:
  std::function<void()> waker() {
    return [weak = weak_from_this()] {
      if (const auto self = weak.lock(); self && !self->wanted_.exchange(true))
        self->responder_.run([self] { self->look(); });
    };
  }

  void look() {
    if (over_ || !stream_) return;
    const Time now = monotonic_now();
    if (stream_->unsent() > most_unsent) {
      if (behind_since_ && now - *behind_since_ > catch_up) return end();
      if (!behind_since_) behind_since_ = now;
      return responder_.after(pace, [self = shared_from_this()] { self->look(); });
    }
    behind_since_.reset();
    if (wanted_ && now >= next_piece_) {
      wanted_ = false;
      next_piece_ = now + pace;
      pass_on();
    }
    if (over_) return;
    if (now >= quiet_since_ + keep_alive) send(position(last_, "keep-alive"));
    const Time next = wanted_ ? next_piece_ : quiet_since_ + keep_alive;
    responder_.after(std::max(next - now, Duration{0}), [self = shared_from_this()] { self->look(); });
  }

  void pass_on() {
    std::string text;
    if (output_) {
      for (const Part& part : output_->take().parts) text += text_of(part);
    }
    const auto taken = listener_->take(events_at_once);
    if (taken.gap) {
      text += gap(taken.since);
    } else if (last_.epoch == 0) {
      text += position(taken.since, "connected");
    }
    bool last = taken.stopped;
    for (const auto& block : taken.blocks) {
      std::uint64_t number = block->first;
      for (const Event& event : block->events) {
        const EventId id{taken.last.epoch, number++};
        if (id.number <= taken.since.number || !filter_.takes(event)) continue;
        text += text_of(id, event);
        last = last || (filter_.task && ended(std::get<events::TaskEvent>(event.what).state));
      }
    }
    last_ = taken.last;
    if (taken.more) wanted_ = true;
    send(std::move(text));
    if (last) finish();
  }

  void send(std::string text) {
    if (text.empty() || over_) return;
    quiet_since_ = monotonic_now();
    if (!stream_->send(std::move(text))) end();
  }

  void finish() {
    if (stream_) stream_->end();
    end();
  }

  void end() {
    over_ = true;
    listener_.reset();
    output_.reset();
    stream_.reset();
    place_.reset();
  }

  Parts parts_;
  std::optional<BoundedPlace> place_;
  Responder responder_;
  Filter filter_;
  std::optional<http_server::Stream> stream_;
  std::optional<Journal::Listener> listener_;
  std::optional<StreamHub::Listener> output_;
  std::atomic<bool> wanted_{false};  // a look at what is new
  EventId last_;  // that the client has
  Time next_piece_{};
  Time quiet_since_{};
  std::optional<Time> behind_since_;
  bool over_ = false;
};

// ---- what a client asks for

Error no_type(const std::string& word) {
  return {
      "`types` has " + json::quoted(word.substr(0, 63)) + "; the types are task, batch, agent, temperature and model",
      ErrorKind::invalid};
}

Result<std::array<bool, events::type_count>> read_types(const Request& request, bool sees_agents) {
  std::array<bool, events::type_count> types{};
  const auto may = [&](std::size_t type) {
    return sees_agents || type == std::size_t(Type::task) || type == std::size_t(Type::batch);
  };
  const auto asked = request.parameter("types");
  if (asked && asked->empty()) return no_type(*asked);
  if (!asked) {
    for (std::size_t type = 0; type < types.size(); ++type) types.at(type) = may(type);
    return types;
  }
  std::istringstream list(*asked);
  for (std::string word; std::getline(list, word, ',');) {
    const auto type = events::parse_type(word);
    if (!type) return no_type(word);
    if (!may(static_cast<std::size_t>(*type))) {
      return Error{"events of type " + word + " need the role observe", ErrorKind::forbidden};
    }
    types.at(static_cast<std::size_t>(*type)) = true;
  }
  return types;
}

template <typename Id>
Status read_one(const Request& request, const std::string& name, std::string_view what, Id& into) {
  const auto asked = request.parameter(name);
  if (!asked) return success();
  const auto value = Id::parse(*asked);
  if (!value) return Error{"`" + name + "` is not " + std::string(what), ErrorKind::invalid};
  into = *value;
  return success();
}

Result<Filter> read_filter(const Request& request) {
  const auto role = parse_role(request.principal.role);
  const bool sees_agents = role && may(*role, "observe");
  Filter filter;
  const auto types = read_types(request, sees_agents);
  if (!types) return types.error();
  filter.types = *types;
  if (auto read = read_one(request, "agent", "the name of an agent", filter.agent); !read) return read.error();
  if (auto read = read_one(request, "capability", "a capability", filter.capability); !read) return read.error();
  if (request.parameter("batch")) {
    BatchId batch;
    if (auto read = read_one(request, "batch", "the id of a batch", batch); !read) return read.error();
    filter.batch = batch;
  }
  if (!sees_agents) filter.own = submitter_of(request.principal);
  return filter;
}

Result<std::optional<EventId>> read_since(const Request& request) {
  const auto header = request.header("Last-Event-ID");
  if (header.empty()) return std::optional<EventId>();
  const auto id = EventId::parse(header);
  if (!id) return Error{"Last-Event-ID is not the id of an event", ErrorKind::invalid};
  return std::optional(*id);
}

void follow(const Parts& parts, const Request& request, const Responder& responder) {
  auto filter = read_filter(request);
  if (!filter) return responder.answer(problem(filter.error()));
  const auto since = read_since(request);
  if (!since) return responder.answer(problem(since.error()));
  const auto stream = std::make_shared<EventStream>(parts, request.principal, responder, std::move(*filter));
  if (stream->refusal()) return stream->refuse(*stream->refusal());
  stream->listen(*since);
  stream->start({});
}

// ---- one task

Event present(const Task& task) {
  const auto now = task.durable.value_or(durable_state(task.record));
  return {wall_now(), events::task_event(task.record, {}, now.state, now.attempt)};
}

Event present(const TaskRecord& record) {
  const auto now = durable_state(record);
  return {wall_now(), events::task_event(record, {}, now.state, now.attempt)};
}

// Its listeners are made on the loop's thread, between two commits: no change is missed, and none comes twice.
std::optional<Event> join_in(const std::shared_ptr<EventStream>& stream, const TaskId& id, const State& state) {
  const auto found = state.tasks.find(id);
  if (found == state.tasks.end()) return std::nullopt;
  stream->listen({});
  stream->listen_to_output(id);
  for (const Attempt& attempt : found->second.record.attempts) stream->hub().given(id, attempt.n, attempt.agent);
  return present(found->second);
}

void follow_task(const Parts& parts, const Request& request, const Responder& responder) {
  const auto id = seen_task(parts, request, responder);
  if (!id) return;
  Filter filter;
  filter.task = *id;
  const auto stream = std::make_shared<EventStream>(parts, request.principal, responder, filter);
  if (stream->refusal()) return stream->refuse(*stream->refusal());
  responder.after(loop_patience, [stream] { stream->refuse(no_answer_in_time()); });
  look<std::optional<Event>>(
      parts.loop, responder, [stream, id = *id](const State& state, Now) { return join_in(stream, id, state); },
      [parts, stream, id = *id](const Result<std::optional<Event>>& first) {
        if (!first) return stream->refuse(first.error());
        if (*first) return stream->start(**first);
        const auto record = parts.store.reader()->task(id);
        if (!record) return stream->refuse(record.error());
        if (!*record) return stream->refuse(no_such_task(id));
        stream->start(present(**record));
      });
}

}  // namespace

void add_event_routes(Routes& routes, const Parts& parts) {
  const auto with = [&](auto handler) {
    return http_server::Handler(
        [parts, handler](const Request& request, const Responder& responder) { handler(parts, request, responder); });
  };
  // clang-format off
  routes.push_back({"GET", "/api/v1/events", "followEvents", "What changes in the fleet, as server-sent events", "any", with(follow)});
  routes.push_back({"GET", "/api/v1/tasks/{id}/events", "followTask", "One task and its output while it runs, as server-sent events", "submit", with(follow_task)});
  // clang-format on
}

}  // namespace edgefleet::coordinator
