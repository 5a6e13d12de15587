#include "coordinator/shell/loop.hpp"

#include <algorithm>
#include <future>

#include "common/mqtt/paho_client.hpp"
#include "common/protocol/json.hpp"
#include "common/protocol/submission.hpp"
#include "coordinator/core/explain.hpp"
#include "coordinator/http/views.hpp"
#include "coordinator/store/attempts.hpp"

namespace edgefleet::coordinator {
namespace {

using protocol::Topic;
using protocol::TopicKind;

constexpr Duration stall = std::chrono::seconds(5);  // without a turn of the loop
constexpr Duration goodbye = std::chrono::seconds(2);
constexpr Duration last_tries = std::chrono::seconds(10);  // at the store, when we are to stop
constexpr std::size_t most_mqtt_requests = 100'000;

template <class... Ts>
struct overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
overloaded(Ts...) -> overloaded<Ts...>;

mqtt::Options with_identity(mqtt::Options options, const FleetName& fleet, const SessionId& session) {
  // With the session: a second coordinator must be seen, not throw the first one out unheard.
  options.client_id = "edgefleet-" + fleet.str() + "-coordinator-" + session.str();
  return options;
}

}  // namespace

Loop::Loop(Options options, Store& store, Artifacts& artifacts, Waiters& waiters)
    : options_(std::move(options)),
      store_(store),
      artifacts_(artifacts),
      waiters_(waiters),
      topics_(options_.fleet),
      state_(Reign{0, new_session_id()}, random_seed()),
      inbox_(options_.inbox),
      session_(random_seed()) {
  state_.policy = options_.policy;
}

Loop::~Loop() = default;

Now Loop::now() { return Now{monotonic_now(), wall_now()}; }

// ---- from other threads

void Loop::offer_or_refuse(Item item, const std::function<void(Error)>& refuse) {
  if (over_) return refuse(Error{"the coordinator is being stopped", ErrorKind::unavailable});
  if (!inbox_.offer(std::move(item))) refuse(Error{"the coordinator is busy; try again in a second", ErrorKind::busy});
}

void Loop::request_stop() {
  stopping_ = true;
  inbox_.insist(Wake{});
}

void Loop::submit(std::string submitter, SubmitTasks::One task, Answer<Acceptance> answer) {
  offer_or_refuse(Submit{std::move(submitter), std::move(task), answer}, answer);
}

void Loop::submit_batch(std::string submitter, std::vector<SubmitTasks::One> tasks, std::string idempotency_key,
                        std::string fingerprint, Answer<BatchAcceptance> answer) {
  offer_or_refuse(
      SubmitBatch{std::move(submitter), std::move(tasks), std::move(idempotency_key), std::move(fingerprint), answer},
      answer);
}

void Loop::cancel(TaskId id, Answer<TaskState> answer) { offer_or_refuse(Cancel{id, answer}, answer); }
void Loop::retry(TaskId id, Answer<TaskState> answer) { offer_or_refuse(Retry{id, answer}, answer); }
void Loop::drain(AgentName agent, bool drain, Answer<AgentState> answer) {
  offer_or_refuse(Drain{std::move(agent), drain, answer}, answer);
}
bool Loop::look(std::function<void(const State&, Now)> with) { return !over_ && inbox_.offer(Look{std::move(with)}); }

// ---- start and end

Status Loop::recover() {
  auto epoch = store_.epoch();
  if (!epoch) return epoch.error();
  state_.reign.epoch = *epoch + 1;
  writes_.epoch = state_.reign.epoch;
  if (auto written = store_.commit(writes_); !written) return written.error();
  writes_ = {};

  auto drained = store_.drained_agents();
  if (!drained) return drained.error();
  for (const auto& agent : *drained) recover_drained(state_, agent);

  auto records = store_.unfinished();
  if (!records) return records.error();
  for (const auto& record : *records) {
    if (record.batch) ++batch_rest_[*record.batch];
  }
  if (!records->empty()) log::info("taking over " + std::to_string(records->size()) + " unfinished tasks");
  coordinator::recover(state_, std::move(*records), now());
  return success();
}

Status Loop::run() {
  options_.broker = with_identity(std::move(options_.broker), options_.fleet, state_.reign.session);
  options_.broker.will =
      mqtt::Message{topics_.build({TopicKind::coordinator_status, {}, {}, {}}),
                    protocol::encode(protocol::CoordinatorStatus{protocol::CoordinatorState::lost, state_.reign}),
                    1,
                    true,
                    {},
                    {}};
  auto client = mqtt::make_paho_client(options_.broker, [this](mqtt::ClientEvent event) {
    const bool refusable = std::holds_alternative<mqtt::Received>(event);
    if (!refusable) return inbox_.insist(std::move(event));
    if (!inbox_.offer(std::move(event))) ++dropped_;  // its sender repeats it
  });
  if (!client) return client.error();
  client_ = std::move(*client);
  perform_mqtt(session_.start(monotonic_now()));

  while (!stopping_ && !fatal_) {
    auto items = held_.empty() ? inbox_.drain(wake_at()) : std::exchange(held_, {});
    const Time began = monotonic_now();
    for (auto& item : items) take(item);
    perform_mqtt(session_.tick(monotonic_now()));
    if (const auto due = next_deadline(state_); due && *due <= monotonic_now()) step(Tick{});
    step(Place{});
    commit();
    notice_stall(began);
  }
  if (const auto dropped = dropped_.load(); dropped > 0) {
    log::warning(std::to_string(dropped) + " messages came while the inbox was full and were dropped");
  }
  over_ = true;
  waiters_.stop();
  refuse_rest();
  say_goodbye();
  return fatal_ ? Status(Error{*fatal_}) : success();
}

void Loop::refuse_rest() {
  const Error over{"the coordinator is being stopped", ErrorKind::unavailable};
  for (auto& item : inbox_.drain(monotonic_now())) {
    std::visit(overloaded{
                   [](const mqtt::ClientEvent&) {},
                   [](const Wake&) {},
                   [&](const Look& look) { look.with(state_, now()); },
                   [&](const auto& request) { request.answer(over); },
               },
               item);
  }
}

void Loop::say_goodbye() {
  if (session_.up() && !fatal_) announce(protocol::CoordinatorState::offline);
  const Time until = monotonic_now() + goodbye;
  while (session_.up() && !session_.idle() && monotonic_now() < until) {
    for (auto& item : inbox_.drain(until)) {
      if (const auto* event = std::get_if<mqtt::ClientEvent>(&item)) perform_mqtt(session_.on(*event, monotonic_now()));
    }
  }
  client_->disconnect(goodbye);
  client_.reset();
}

std::optional<Time> Loop::wake_at() const {
  auto at = next_deadline(state_);
  if (const auto tick = session_.next_tick(); tick && (!at || *tick < *at)) at = tick;
  return at;
}

// Deadlines that passed while we did nothing are nobody else's fault.
void Loop::notice_stall(Time began) {
  if (monotonic_now() - began < stall) return;
  log::warning("the coordinator was held up for " + std::to_string(to_ms(monotonic_now() - began)) + " ms");
  step(Stalled{});
  commit();
}

void Loop::take(Item& item) {
  std::visit([this](auto& what) { handle(what); }, item);
}

void Loop::step(const Event& event) {
  for (auto& effect : coordinator::step(state_, event, now())) {
    std::visit(overloaded{
                   [&](const SaveTask& save) { dirty_[save.id] |= save.created; },
                   [&](const SaveAgent& save) { writes_.drained.emplace_back(save.agent, save.drained); },
                   [&](const SaveEpoch& save) { writes_.epoch = save.epoch; },
                   [&](const Note& note) {
                     log::write(note.level == NoteLevel::info      ? log::Level::info
                                : note.level == NoteLevel::warning ? log::Level::warning
                                                                   : log::Level::error,
                                note.text);
                   },
                   [&](const StopProgram& stop) { fatal_ = stop.reason; },
                   [&](const auto&) { after_commit_.push_back(std::move(effect)); },
               },
               effect);
  }
}

// ---- commit, then everything that others may see

void Loop::commit() {
  const Time mono = monotonic_now();
  writes_.tasks.reserve(dirty_.size());
  for (const auto& [id, created] : dirty_) {
    const Task& task = state_.tasks.at(id);
    const auto rest = [&](const std::optional<Time>& at) -> std::optional<Duration> {
      return at ? std::optional(std::max(Duration{0}, *at - mono)) : std::nullopt;
    };
    writes_.tasks.push_back(TaskWrite{&task.record, rest(task.due), rest(task.expires), created});
  }
  // New rows in the order of their ids go to the end of the store's trees.
  std::sort(writes_.tasks.begin(), writes_.tasks.end(),
            [](const TaskWrite& a, const TaskWrite& b) { return a.record->id < b.record->id; });

  // Until it is durable nothing later is stepped, published, acknowledged or answered.
  Duration pause = std::chrono::milliseconds(200);
  std::optional<Time> give_up_at;
  for (auto written = store_.commit(writes_); !written; written = store_.commit(writes_)) {
    if (store_well_.exchange(false)) log::error(written.error().message + "; trying again until it works");
    if (stopping_ && !give_up_at) give_up_at = monotonic_now() + last_tries;
    if (give_up_at && monotonic_now() > *give_up_at) {
      fatal_ = "stopping with changes that could not be recorded: " + written.error().message;
      return;
    }
    const Time until = monotonic_now() + pause;
    for (auto& item : refuse_while_failing(until, written.error())) held_.push_back(std::move(item));
    pause = std::min<Duration>(pause * 2, std::chrono::seconds(5));
  }
  if (!store_well_.exchange(true)) log::info("the store works again");
  writes_ = {};
  dirty_.clear();
  keys_in_drain_.clear();
  // Work first: an agent may begin while its submitter still reads the answer.
  const auto effects = std::exchange(after_commit_, {});
  for (const bool work : {true, false}) {
    for (const auto& effect : effects) {
      if (std::holds_alternative<SendTasks>(effect) == work) perform(effect);
    }
  }
  if (!state_.ended.empty()) step(Committed{});
}

std::vector<Loop::Item> Loop::refuse_while_failing(Time until, const Error& why) {
  const Error full{"nothing new can be accepted: " + why.message, ErrorKind::full};
  std::vector<Item> keep;
  while (monotonic_now() < until) {
    for (auto& item : inbox_.drain(until)) {
      if (auto* one = std::get_if<Submit>(&item)) {
        one->answer(full);
      } else if (auto* batch = std::get_if<SubmitBatch>(&item)) {
        batch->answer(full);
      } else if (held_.size() + keep.size() < options_.inbox) {
        keep.push_back(std::move(item));
      } else {
        ++dropped_;
      }
    }
  }
  return keep;
}

RequestId Loop::expect(Reply reply) {
  replies_.emplace(++last_request_, std::move(reply));
  return last_request_;
}

void Loop::perform(const Effect& effect) {
  const auto answer = [&](RequestId request, Result<std::vector<TaskId>> with) {
    const auto found = replies_.find(request);
    if (found == replies_.end()) return;
    const Reply reply = std::move(found->second);
    replies_.erase(found);
    reply(std::move(with));
  };
  std::visit(
      overloaded{
          [&](const SendTasks& e) { send(e); },
          [&](const SendAcknowledge& e) { control(e.agent, protocol::ControlType::acknowledge, e.tasks, false); },
          [&](const SendCancel& e) { control(e.agent, protocol::ControlType::cancel, e.tasks, false); },
          [&](const SendDrain& e) {
            control(e.agent, e.drain ? protocol::ControlType::drain : protocol::ControlType::resume, {}, false);
          },
          [&](const AskStore& e) { answer_from_store(e); },
          [&](const AnnounceReign&) { announce(protocol::CoordinatorState::online); },
          [&](const Accepted& e) { answer(e.request, e.ids); }, [&](const Rejected& e) { answer(e.request, e.error); },
          [&](const Done& e) { answer(e.request, std::vector<TaskId>{}); },
          [&](const TaskEnded& e) {
            const TaskRecord& record = state_.tasks.at(e.id).record;
            waiters_.notify(e.id);
            const auto [asked, end] = mqtt_requests_.equal_range(e.id);
            for (auto it = asked; it != end; ++it) {
              reply_over_mqtt(it->second.response_topic, it->second.correlation_data, outcome_view(record));
            }
            mqtt_requests_.erase(asked, end);
            if (!record.batch) return;
            const auto rest = batch_rest_.find(*record.batch);
            if (rest == batch_rest_.end() || --rest->second > 0) return;
            waiters_.notify(*record.batch);
            batch_rest_.erase(rest);
          },
          [](const auto&) {},  // performed when it was stepped
      },
      effect);
}

// ---- requests

void Loop::handle(Submit& submit) {
  if (!submit.task.idempotency_key.empty()) {
    const auto key = submit.submitter + '\n' + submit.task.idempotency_key;
    if (keys_in_drain_.count(key) > 0) commit();  // so that the store can say what it was
    auto earlier = store_.task_by_key(submit.submitter, submit.task.idempotency_key);
    if (!earlier) return submit.answer(earlier.error());
    if (const auto& record = *earlier) {
      if (record->spec == submit.task.spec) {
        return submit.answer(Acceptance{record->id, record->state, 0, 0, {}});
      }
      return submit.answer(Error{"the idempotency key was used for task " + record->id.str() + ", which is another one",
                                 ErrorKind::conflict});
    }
    keys_in_drain_[key] = 1;
  }
  SubmitTasks event;
  event.submitter = std::move(submit.submitter);
  event.tasks.push_back(std::move(submit.task));
  event.request = expect([this, answer = std::move(submit.answer)](Result<std::vector<TaskId>> ids) {
    if (!ids) return answer(ids.error());
    const Task& task = state_.tasks.at(ids->front());
    const auto why = explain(state_, task.record.spec.capability, task.record.spec.where);
    answer(Acceptance{task.record.id, task.record.state, ahead(state_, task), why.eligible,
                      explain_task(state_, task, monotonic_now())});
  });
  step(std::move(event));
}

void Loop::handle(SubmitBatch& submit) {
  if (!submit.idempotency_key.empty()) {
    const auto key = submit.submitter + "\nbatch " + submit.idempotency_key;
    if (keys_in_drain_.count(key) > 0) commit();
    auto earlier = store_.batch_by_key(submit.submitter, submit.idempotency_key);
    if (!earlier) return submit.answer(earlier.error());
    if (const auto& batch = *earlier) {
      if (batch->fingerprint != submit.fingerprint) {
        return submit.answer(
            Error{"the idempotency key was used for batch " + batch->id.str() + ", which is another one",
                  ErrorKind::conflict});
      }
      TaskQuery query;
      query.batch = batch->id;
      query.limit = limits::batch_tasks;
      auto tasks = store_.tasks(query);
      if (!tasks) return submit.answer(tasks.error());
      BatchAcceptance same{batch->id, {}};
      for (auto task = tasks->rbegin(); task != tasks->rend(); ++task) same.tasks.push_back(task->id);
      return submit.answer(std::move(same));
    }
    keys_in_drain_[key] = 1;
  }
  const BatchId id{state_.ids.next(wall_now())};
  const std::size_t total = submit.tasks.size();
  const std::string submitter = submit.submitter;
  SubmitTasks event;
  event.submitter = submit.submitter;
  event.batch = id;
  event.tasks = std::move(submit.tasks);
  event.request = expect([id, answer = std::move(submit.answer)](Result<std::vector<TaskId>> ids) {
    if (!ids) return answer(ids.error());
    answer(BatchAcceptance{id, std::move(*ids)});
  });
  const std::size_t before = after_commit_.size();
  step(std::move(event));
  for (std::size_t i = before; i < after_commit_.size(); ++i) {
    const auto* accepted = std::get_if<Accepted>(&after_commit_[i]);
    if (accepted == nullptr) continue;
    batch_rest_[id] = total;
    writes_.batches.push_back(BatchRecord{id, submitter, submit.idempotency_key, submit.fingerprint,
                                          accepted->ids.front(), accepted->ids.back(), total});
  }
}

void Loop::handle(Cancel& cancel) {
  const auto id = cancel.id;
  step(CancelTask{expect([this, id, answer = cancel.answer](Result<std::vector<TaskId>> done) {
                    if (const auto task = state_.tasks.find(id); done && task != state_.tasks.end()) {
                      return answer(task->second.record.state);
                    }
                    if (done.ok() || done.error().kind != ErrorKind::not_found) {
                      return answer(done.ok() ? Error{"the task has just ended", ErrorKind::conflict} : done.error());
                    }
                    auto record = store_.task(id);
                    if (!record) return answer(record.error());
                    if (!*record) return answer(done.error());
                    answer(Error{"task " + id.str() + " has already " + std::string(to_string((*record)->state)),
                                 ErrorKind::conflict});
                  }),
                  id});
}

void Loop::handle(Retry& retry) {
  auto record = store_.task(retry.id);
  if (!record) return retry.answer(record.error());
  if (!*record) return retry.answer(Error{"task " + retry.id.str() + " is not known", ErrorKind::not_found});
  const auto batch = (*record)->batch;
  step(RetryTask{expect([this, batch, answer = retry.answer](Result<std::vector<TaskId>> done) {
                   if (!done) return answer(done.error());
                   if (batch) ++batch_rest_[*batch];
                   answer(TaskState::queued);
                 }),
                 std::move(**record)});
}

void Loop::handle(Drain& drain) {
  step(DrainAgent{expect([this, name = drain.agent, answer = drain.answer](Result<std::vector<TaskId>> done) {
                    if (!done) return answer(done.error());
                    answer(state_.agents.at(state_.agent_index.at(name)).status.state);
                  }),
                  drain.agent, drain.drain});
}

void Loop::handle(const Look& look) { look.with(state_, now()); }

// ---- MQTT, in

void Loop::handle(const mqtt::ClientEvent& event) {
  if (const auto* received = std::get_if<mqtt::Received>(&event)) return receive(received->message);
  perform_mqtt(session_.on(event, monotonic_now()));
}

template <typename T, typename MakeEvent>
void Loop::decoded(const mqtt::Message& message, Result<T> payload, MakeEvent make) {
  if (payload) return step(make(std::move(*payload)));
  complaints_.complain(message.topic, "dropped a message on " + message.topic + ": " + payload.error().message);
}

void Loop::receive(const mqtt::Message& message) {
  const auto topic = topics_.parse(message.topic);
  if (!topic) return complaints_.complain("topic", "dropped a message on an unknown topic: " + message.topic);
  if (message.payload.empty() && message.retained) return;  // a retained message that was removed
  if (message.payload.size() > limits::payload_bytes) {
    return complaints_.complain(message.topic, "dropped a message on " + message.topic + ": " +
                                                   std::to_string(message.payload.size()) + " bytes, the bound is " +
                                                   std::to_string(limits::payload_bytes));
  }
  const auto& agent = topic->agent;
  const auto& payload = message.payload;
  switch (topic->kind) {
    case TopicKind::agent_status:
      return decoded(message, protocol::decode_agent_status(payload),
                     [&](AgentStatus status) { return AgentStatusSeen{agent, std::move(status)}; });
    case TopicKind::agent_info:
      return decoded(message, protocol::decode_agent_info(payload),
                     [&](AgentInfo info) { return AgentInfoSeen{agent, std::move(info)}; });
    case TopicKind::heartbeat:
      return decoded(message, protocol::decode_heartbeat(payload),
                     [&](Heartbeat beat) { return HeartbeatSeen{agent, std::move(beat)}; });
    case TopicKind::temperature:
      return decoded(message, protocol::decode_temperature(payload),
                     [&](Temperature temperature) { return TemperatureSeen{agent, std::move(temperature)}; });
    case TopicKind::results:
      return decoded(message, protocol::decode_results(payload), [&](protocol::ResultsMessage results) {
        for (const auto& bad : results.results.bad) {
          complaints_.complain(message.topic, "dropped a result on " + message.topic + ": " + bad);
        }
        return ResultsSeen{agent, std::move(results.results.good)};
      });
    case TopicKind::coordinator_status:
      return decoded(message, protocol::decode_coordinator_status(payload), [&](protocol::CoordinatorStatus status) {
        return CoordinatorSeen{status.state == protocol::CoordinatorState::online, std::move(status.reign),
                               !message.retained};
      });
    case TopicKind::submit:
      return take_submission(*topic, message);
    case TopicKind::tasks:
    case TopicKind::stream:
    case TopicKind::control:
    case TopicKind::reply:
      return;  // not subscribed
  }
}

void Loop::take_submission(const Topic& topic, const mqtt::Message& message) {
  const auto reply_topic = topics_.parse(message.response_topic);
  if (!reply_topic || reply_topic->kind != TopicKind::reply || reply_topic->client != topic.client ||
      message.response_topic.find_first_of("+#") != std::string::npos) {
    return complaints_.complain(message.topic, "dropped a task on " + message.topic +
                                                   ": its response topic is not below " +
                                                   topics_.build({TopicKind::reply, {}, {}, topic.client}));
  }
  const auto refuse = [this, message](const Error& error) {
    reply_over_mqtt(message.response_topic, message.correlation_data, problem_view(error));
  };
  auto submission = protocol::decode_submission(message.payload, topic.capability);
  if (!submission) return refuse(submission.error());
  for (const auto& artifact : artifacts_in(submission->spec.input)) {
    if (auto found = artifacts_.find(artifact); !found) return refuse(found.error());
  }
  if (mqtt_requests_.size() >= most_mqtt_requests) {
    return refuse(Error{"too many requests wait for their outcome; try again later", ErrorKind::busy});
  }
  Submit submit{"mqtt:" + topic.client.str(), {std::move(submission->spec), submission->idempotency_key}, {}};
  submit.answer = [this, message, refuse, accepted_only = submission->answer_accepted](Result<Acceptance> accepted) {
    if (!accepted) return refuse(accepted.error());
    if (accepted_only) {
      return reply_over_mqtt(message.response_topic, message.correlation_data, acceptance_view(*accepted));
    }
    answer_when_ended(accepted->id, message);
  };
  handle(submit);
}

void Loop::reply_over_mqtt(const std::string& topic, const std::string& correlation, const std::string& payload) {
  perform_mqtt(session_.publish({topic, payload, protocol::rule(TopicKind::reply).qos, false, {}, correlation}));
}

// For a task that may have ended long ago: an idempotent repetition.
void Loop::answer_when_ended(const TaskId& id, const mqtt::Message& request) {
  if (const auto alive = state_.tasks.find(id); alive != state_.tasks.end() && !ended(alive->second.record.state)) {
    mqtt_requests_.emplace(id, mqtt::Message{{}, {}, 1, false, request.response_topic, request.correlation_data});
    return;
  }
  const auto record = store_.task(id);
  reply_over_mqtt(request.response_topic, request.correlation_data,
                  record && *record
                      ? outcome_view(**record)
                      : problem_view(record ? Error{"the task is gone", ErrorKind::not_found} : record.error()));
}

// ---- MQTT, out

void Loop::perform_mqtt(mqtt::Actions actions) {
  for (auto& action : actions) {
    std::visit(overloaded{
                   [&](const mqtt::DoConnect&) { client_->connect(); },
                   [&](const mqtt::DoSubscribe&) {
                     std::vector<mqtt::Subscription> all;
                     for (const auto kind :
                          {TopicKind::coordinator_status, TopicKind::agent_info, TopicKind::heartbeat,
                           TopicKind::temperature, TopicKind::agent_status, TopicKind::results, TopicKind::submit}) {
                       all.push_back({topics_.build({kind, {}, {}, {}}), protocol::rule(kind).qos});
                     }
                     client_->subscribe(all);
                   },
                   [&](const mqtt::DoSend& send) { client_->publish(send.message); },
                   [&](const mqtt::TellUp&) {
                     log::info("connected to the broker at " + options_.broker.broker + ", epoch " +
                               std::to_string(state_.reign.epoch));
                     broker_up_ = true;
                     step(BrokerUp{});
                   },
                   [&](const mqtt::TellDown& down) {
                     log::warning("the broker is lost: " + down.reason + "; trying again");
                     broker_up_ = false;
                     step(BrokerDown{});
                   },
                   [&](const mqtt::TellTrouble& trouble) {
                     complaints_.complain("broker", "broker " + options_.broker.broker + ": " + trouble.reason);
                   },
               },
               action);
  }
}

void Loop::publish(const Topic& topic, std::string payload) {
  const auto& rule = protocol::rule(topic.kind);
  perform_mqtt(session_.publish({topics_.build(topic), std::move(payload), rule.qos, rule.retained, {}, {}}));
}

void Loop::announce(protocol::CoordinatorState state) {
  publish({TopicKind::coordinator_status, {}, {}, {}},
          protocol::encode(protocol::CoordinatorStatus{state, state_.reign}));
}

void Loop::send(const SendTasks& effect) {
  std::vector<protocol::TaskElement> elements;
  elements.reserve(effect.tasks.size());
  for (const AttemptKey& key : effect.tasks) {
    const auto task = state_.tasks.find(key.id);
    if (task == state_.tasks.end()) continue;  // it has ended in this very drain
    const TaskSpec& spec = task->second.record.spec;
    elements.push_back({key.id, key.attempt, spec.input, spec.timeout});
  }
  for (std::size_t first = 0; first < elements.size();) {
    publish({TopicKind::tasks, effect.agent, effect.capability, {}},
            protocol::encode_tasks(state_.reign, effect.n, elements, first));
  }
}

void Loop::control(const AgentName& agent, protocol::ControlType type, const std::vector<AttemptKey>& tasks,
                   bool unknown) {
  std::vector<protocol::AttemptRef> refs;
  refs.reserve(tasks.size());
  for (const AttemptKey& key : tasks) refs.push_back({key.id, key.attempt, unknown});
  std::size_t first = 0;
  do {
    publish({TopicKind::control, agent, {}, {}}, protocol::encode_control(state_.reign, type, refs, first));
  } while (first < refs.size());
}

void Loop::answer_from_store(const AskStore& ask) {
  std::vector<AttemptKey> known;
  std::vector<AttemptKey> unknown;
  for (const AttemptKey& key : ask.tasks) {
    const auto record = store_.task(key.id);
    if (!record) return complaints_.complain("store", record.error().message);  // its sender asks again
    (*record ? known : unknown).push_back(key);
  }
  if (!known.empty()) control(ask.agent, protocol::ControlType::acknowledge, known, false);
  if (unknown.empty()) return;
  complaints_.complain("unknown results", "agent " + ask.agent.str() + " has results of " +
                                              std::to_string(unknown.size()) + " tasks that are not known here");
  control(ask.agent, protocol::ControlType::acknowledge, unknown, true);
}

}  // namespace edgefleet::coordinator
