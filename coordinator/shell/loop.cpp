#include "coordinator/shell/loop.hpp"

#include <algorithm>

#include "common/core/overloaded.hpp"
#include "common/mqtt/paho_client.hpp"
#include "coordinator/http/views.hpp"

namespace edgefleet::coordinator {
namespace {

using protocol::TopicKind;

constexpr Duration stall = std::chrono::seconds(5);  // without a turn of the loop
constexpr std::size_t recovered_at_once = 10'000;
constexpr Duration goodbye = std::chrono::seconds(2);
constexpr Duration last_tries = std::chrono::seconds(5);  // at the store, when we are to stop

mqtt::Options with_identity(mqtt::Options options, const FleetName& fleet, const SessionId& session) {
  // With the session: a second coordinator must be seen, not throw the first one out unheard.
  options.client_id = "edgefleet-" + fleet.str() + "-coordinator-" + session.str();
  return options;
}

}  // namespace

Loop::Loop(Options options, Store& store, Artifacts& artifacts, Waiters& waiters, StreamHub& hub)
    : options_(std::move(options)),
      store_(store),
      artifacts_(artifacts),
      waiters_(waiters),
      hub_(hub),
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

void Loop::submit(std::string submitter, SubmitTasks::One task, Answer<Acceptance> answer,
                  std::function<void(const TaskId&)> made) {
  offer_or_refuse(Submit{std::move(submitter), std::move(task), answer, std::move(made)}, answer);
}

void Loop::submit_batch(std::string submitter, std::vector<SubmitTasks::One> tasks, std::string idempotency_key,
                        std::string fingerprint, Answer<BatchAcceptance> answer) {
  offer_or_refuse(
      SubmitBatch{std::move(submitter), std::move(tasks), std::move(idempotency_key), std::move(fingerprint), answer},
      answer);
}

void Loop::cancel(TaskId id, Answer<TaskState> answer) { offer_or_refuse(Cancel{id, answer}, answer); }
void Loop::retry(TaskId id, Answer<TaskState> answer) { offer_or_refuse(Retry{id, answer}, answer); }
void Loop::retry_many(std::vector<TaskId> ids, Answer<Retried> answer) {
  offer_or_refuse(RetryMany{std::move(ids), answer}, answer);
}
void Loop::drain(AgentName agent, bool drain, Answer<AgentState> answer) {
  offer_or_refuse(Drain{std::move(agent), drain, answer}, answer);
}
void Loop::release(Answer<std::size_t> answer) { offer_or_refuse(Release{answer}, answer); }
bool Loop::look(std::function<void(const State&, Now)> with) { return !over_ && inbox_.offer(Look{std::move(with)}); }

// ---- start and end

Status Loop::recover() {
  const auto clock = store_.clock();
  if (!clock) return clock.error();
  clock_base_ = *clock;
  clock_start_ = clock_kept_ = purge_at_ = monotonic_now();
  auto epoch = store_.epoch();
  if (!epoch) return epoch.error();
  writes_.clock = clock_base_;
  state_.reign.epoch = *epoch + 1;
  writes_.epoch = state_.reign.epoch;
  // On a full disk the first drain tries again, and sends nothing of this epoch before it has succeeded.
  auto written = store_.commit(writes_);
  if (!written && written.error().kind != ErrorKind::full) return written.error();
  if (written) writes_ = {};

  auto drained = store_.drained_agents();
  if (!drained) return drained.error();
  for (const auto& agent : *drained) recover_drained(state_, agent);

  auto held = store_.held();
  if (!held) return held.error();
  state_.held.insert(held->begin(), held->end());
  held_tasks_ = held->size();
  if (!held->empty()) {
    log::warning(std::to_string(held->size()) +
                 " tasks are held after a restore and wait: release them with `edgefleet release`, or cancel them");
  }

  TaskId after;
  for (bool more = true; more;) {
    auto records = store_.unfinished(after, recovered_at_once);
    if (!records) return records.error();
    more = records->size() == recovered_at_once;
    if (more) after = records->back().id;
    for (const auto& record : *records) {
      if (record.batch) ++batch_rest_[*record.batch];
      if (record.submitter == present_client && record.state != TaskState::cancelling) abandoned_.push_back(record.id);
    }
    coordinator::recover(state_, std::move(*records), now());
  }
  if (!abandoned_.empty()) {
    log::info("cancelling " + std::to_string(abandoned_.size()) + " tasks whose clients have gone");
  }
  if (!state_.tasks.empty()) log::info("taking over " + std::to_string(state_.tasks.size()) + " unfinished tasks");
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
  auto client =
      mqtt::make_paho_client(options_.broker, [this](mqtt::ClientEvent event) { offer_from_broker(std::move(event)); });
  if (!client) return client.error();
  client_ = std::move(*client);
  perform_mqtt(session_.start(monotonic_now()));

  for (const TaskId& id : std::exchange(abandoned_, {})) {
    step(CancelTask{expect([](const Result<std::vector<TaskId>>&) {}), id});
  }
  while (!stopping_ && !fatal_) {
    const auto wake = wake_at();
    auto items = held_.empty() ? inbox_.drain(wake) : std::exchange(held_, {});
    const Time began = monotonic_now();
    if (wake) notice_stall(*wake);
    notice_drops();
    for (auto& item : items) take(item);
    perform_mqtt(session_.tick(monotonic_now()));
    if (const auto due = next_deadline(state_); due && *due <= monotonic_now()) step(Tick{});
    step(Place{});
    commit();
    send_replies();
    upkeep();
    notice_stall(began);
  }
  if (store_well_ && !fatal_) (void)store_.keep_time(running_time(monotonic_now()));
  over_ = true;
  waiters_.stop();
  hub_.stop();
  refuse_rest();
  send_replies();
  say_goodbye();
  return fatal_ ? Status(Error{*fatal_}) : success();
}

// Also what was kept while the store failed, and what never became durable: each has an HTTP thread that waits for it,
// and the server's stop waits for those.
void Loop::refuse_rest() {
  const Error over{"the coordinator is being stopped", ErrorKind::unavailable};
  auto items = std::exchange(held_, {});
  for (auto& item : inbox_.drain(monotonic_now())) items.push_back(std::move(item));
  for (auto& item : items) {
    std::visit(overloaded{
                   [](const mqtt::ClientEvent&) {},
                   [](const Wake&) {},
                   [&](const Look& look) { look.with(state_, now()); },
                   [&](const auto& request) { request.answer(over); },
               },
               item);
  }
  for (auto& [request, reply] : std::exchange(replies_, {})) {
    reply(Error{"the coordinator is being stopped; whether the request took effect is not known",
                ErrorKind::unavailable});
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
  if (const auto care = upkeep_at(); care && (!at || *care < *at)) at = care;
  return at;
}

// Deadlines that passed while we did nothing, or did not run at all, are nobody else's fault.
void Loop::notice_stall(Time since) {
  if (monotonic_now() - since < stall) return;
  log::warning("the coordinator was held up for " + std::to_string(to_ms(monotonic_now() - since)) + " ms");
  step(Stalled{});
}

// On the client's thread. What is dropped here is repeated by its sender: results, beats; a task without an answer was
// not accepted.
void Loop::offer_from_broker(mqtt::ClientEvent event) {
  const auto* received = std::get_if<mqtt::Received>(&event);
  if (received == nullptr) return inbox_.insist(std::move(event));
  if (const auto topic = topics_.parse(received->message.topic); topic && topic->kind == TopicKind::stream) {
    return hear_part(topic->agent, received->message);
  }
  const std::size_t bytes = weight(received->message);
  const std::size_t inside = inbox_bytes_ += bytes;
  if (inside <= options_.inbox_bytes && inbox_.offer(std::move(event))) return;
  inbox_bytes_ -= bytes;
  ++dropped_;
}

// Partial output passes by the inbox and the core: a flood of it delays nobody's task.
void Loop::hear_part(const AgentName& agent, const mqtt::Message& message) {
  if (!hub_.anybody()) return;
  if (const auto part = protocol::decode_stream(message.payload)) hub_.publish(agent, *part);
}

void Loop::notice_drops() {
  const auto dropped = dropped_.load() + session_.dropped();
  if (dropped == dropped_said_) return;
  complaints_.complain("inbox", std::to_string(dropped - dropped_said_) +
                                    " messages were dropped, because more came than could be handled or sent");
  dropped_said_ = dropped;
}

void Loop::take(Item& item) {
  std::visit([this](auto& what) { handle(what); }, item);
}

void Loop::step(const Event& event) {
  const bool retry = std::holds_alternative<RetryTask>(event);
  for (auto& effect : coordinator::step(state_, event, now())) {
    std::visit(overloaded{
                   [&](const SaveTask& save) {
                     dirty_[save.id] |= save.created;
                     if (retry) ++writes_.revived;
                   },
                   [&](const SaveAgent& save) { writes_.drained.emplace_back(save.agent, save.drained); },
                   [&](const SaveEpoch& save) { writes_.epoch = save.epoch; },
                   [&](const SaveReleased&) { writes_.released = true; },
                   [&](const Note& note) {
                     complaints_.complain(note.kind, note.text,
                                          note.level == NoteLevel::info ? log::Level::info : log::Level::warning);
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
  writes_.clock = running_time(mono);
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
    pause = std::min<Duration>(pause * 2, std::chrono::seconds(1));
  }
  if (!store_well_.exchange(true)) log::info("the store works again");
  if (!writes_.empty()) clock_kept_ = mono;
  writes_ = {};
  dirty_.clear();
  held_tasks_ = state_.held.size();
  keys_in_drain_.clear();
  // Work first: an agent may begin while its submitter still reads the answer.
  const auto effects = std::exchange(after_commit_, {});
  for (const bool work : {true, false}) {
    for (const auto& effect : effects) {
      if (std::holds_alternative<SendTasks>(effect) == work) perform(effect);
    }
  }
  if (state_.ended.empty()) return;
  step(Committed{});
  purge_at_ = std::min(purge_at_, mono + std::chrono::seconds(1));
}

std::vector<Loop::Item> Loop::refuse_while_failing(Time until, const Error& why) {
  const Error full{"nothing new can be accepted: " + why.message, ErrorKind::full};
  std::vector<Item> keep;
  while (monotonic_now() < until) {
    for (auto& item : inbox_.drain(until)) {
      if (refuse_or_keep(item, full)) keep.push_back(std::move(item));
    }
    send_replies();
  }
  return keep;
}

// True: it is kept until the store works again. Only messages are without bound by themselves; all else is news of the
// connection, without which it would never be made again, and requests of the HTTP threads.
bool Loop::refuse_or_keep(Item& item, const Error& full) {
  if (auto* one = std::get_if<Submit>(&item)) {
    one->answer(full);
    return false;
  }
  if (auto* batch = std::get_if<SubmitBatch>(&item)) {
    batch->answer(full);
    return false;
  }
  if (const auto* look = std::get_if<Look>(&item)) {
    handle(*look);
    return false;
  }
  const auto* event = std::get_if<mqtt::ClientEvent>(&item);
  if (event == nullptr) return true;
  if (std::holds_alternative<mqtt::Delivered>(*event)) {
    perform_mqtt(session_.on(*event, monotonic_now()));
    return false;
  }
  const auto* received = std::get_if<mqtt::Received>(event);
  if (received == nullptr) return true;
  const auto topic = topics_.parse(received->message.topic);
  const bool submit = topic && topic->kind == TopicKind::submit;
  if (!submit && held_.size() < options_.inbox) return true;
  inbox_bytes_ -= weight(received->message);
  if (!submit) {
    ++dropped_;
  } else if (can_be_answered(*topic, received->message)) {
    refuse_submission(received->message, full);
  }
  return false;
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
          [&](const SendAcknowledge& e) { control(e.agent, protocol::ControlType::acknowledge, e.tasks, e.unknown); },
          [&](const SendCancel& e) { control(e.agent, protocol::ControlType::cancel, e.tasks, false); },
          [&](const SendRecall& e) { control(e.agent, protocol::ControlType::recall, e.tasks, false); },
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
            hub_.ended(e.id);
            const auto [asked, end] = mqtt_requests_.equal_range(e.id);
            for (auto it = asked; it != end; ++it) {
              reply_over_mqtt(it->second, outcome_view(record));
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

}  // namespace edgefleet::coordinator
