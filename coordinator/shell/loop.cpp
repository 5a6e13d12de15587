#include "coordinator/shell/loop.hpp"

#include <algorithm>

#include "common/core/overloaded.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"
#include "coordinator/core/submitter.hpp"
#include "coordinator/shell/token_estimate.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration taking_over = std::chrono::seconds(10);  // since the start, with --take-over
constexpr Duration stall = std::chrono::seconds(5);  // time without a turn of the loop
constexpr std::size_t recovered_at_once = 10'000;
constexpr Duration disconnect_patience = std::chrono::seconds(2);
constexpr Duration first_pause = std::chrono::milliseconds(200);  // between attempts to write to a failing store
constexpr Duration shortest_pause = std::chrono::milliseconds(10);  // after old tasks were removed
constexpr Duration longest_pause = std::chrono::seconds(1);

Error being_stopped() { return {"the coordinator is being stopped", ErrorKind::unavailable}; }
Error starting() {
  return {"the coordinator is starting, and makes sure that no other one works on this fleet; try again in a second",
          ErrorKind::unavailable};
}
Error busy() { return {"the coordinator is busy; try again in a second", ErrorKind::busy}; }

bool has_ended(const Change& change) {
  const auto* task = std::get_if<TaskChanged>(&change);
  return task != nullptr && ended(task->to);
}

}  // namespace

Loop::Loop(Options options, Store& store, Artifacts& artifacts, Waiters& waiters, StreamHub& hub)
    : options_(std::move(options)),
      store_(store),
      waiters_(waiters),
      hub_(hub),
      inbox_(options_.inbox),
      engine_(options_.policy, Reign{0, new_session_id()}, complaints_),
      requests_(engine_, store_, options_.space, options_.submitter_rules),
      link_({options_.fleet, options_.broker, options_.inbox, options_.inbox_bytes, options_.agent_rules,
             options_.submitter_of, options_.revocations},
            {engine_, requests_, store_, artifacts, hub, rules_, complaints_},
            {[this](mqtt::ClientEvent&& event) { return inbox_.offer(std::move(event)); },
             [this](mqtt::ClientEvent&& event) { inbox_.insist(std::move(event)); }}),
      upkeep_(store_, options_.retention, complaints_, options_.space) {
  after_commit_.add(waiters_);
  after_commit_.add(hub_);
  after_commit_.add(rules_);
  after_commit_.add(link_.replies());
}

Loop::~Loop() = default;

// ---- from other threads

template <typename OneRequest>
void Loop::offer_or_refuse(OneRequest request) {
  const auto answer = request.answer;
  if (over_) return answer(being_stopped());
  if (!inbox_.offer(LoopRequest{std::move(request)})) answer(busy());
}

void Loop::request_stop() {
  stopping_ = true;
  inbox_.insist(Wake{});
}

void Loop::submit(std::string submitter, SubmitTasks::One task, Answer<Acceptance> answer,
                  std::function<void(const TaskId&)> made) {
  offer_or_refuse(SubmitRequest{std::move(submitter), std::move(task), std::move(answer), std::move(made)});
}

void Loop::submit_batch(std::string submitter, std::vector<SubmitTasks::One> tasks, std::string idempotency_key,
                        std::string fingerprint, Answer<BatchAcceptance> answer) {
  offer_or_refuse(SubmitBatchRequest{
      std::move(submitter), {std::move(idempotency_key), std::move(fingerprint)}, std::move(tasks), std::move(answer)});
}

void Loop::cancel(TaskId id, Answer<TaskState> answer) { offer_or_refuse(CancelRequest{id, std::move(answer)}); }
void Loop::retry(std::string submitter, TaskId id, Answer<TaskState> answer) {
  offer_or_refuse(RetryRequest{std::move(submitter), id, std::move(answer)});
}
void Loop::retry_many(std::string submitter, std::vector<TaskId> ids, Answer<Retried> answer) {
  offer_or_refuse(RetryManyRequest{std::move(submitter), std::move(ids), std::move(answer)});
}
void Loop::forget(AgentName agent, Answer<AgentName> answer) {
  offer_or_refuse(RemoveRequest{std::move(agent), std::move(answer)});
}
void Loop::drain(AgentName agent, bool drain, Answer<Drained> answer) {
  offer_or_refuse(DrainRequest{std::move(agent), drain, std::move(answer)});
}
void Loop::reload(AgentName agent, Answer<Reloading> answer) {
  offer_or_refuse(ReloadRequest{std::move(agent), std::move(answer)});
}
void Loop::release(Answer<std::size_t> answer) { offer_or_refuse(ReleaseRequest{std::move(answer)}); }
Status Loop::look(std::function<void(const State&, Now)> with) {
  if (over_) return being_stopped();
  return inbox_.offer(Look{std::move(with)}) ? success() : Status(busy());
}

// ---- the start

Status Loop::recover() {
  if (auto started = upkeep_.start(monotonic_now()); !started) return started;
  if (auto begun = begin_reign(); !begun) return begun;

  const auto drained = store_.drained_agents();
  if (!drained) return drained.error();
  for (const auto& agent : *drained) engine_.recover_drained(agent);

  const auto used = store_.tokens_used();
  if (!used) return used.error();
  for (const auto& [client, day, tokens] : *used) engine_.recover_tokens(client, day, tokens);

  const auto held = store_.held();
  if (!held) return held.error();
  engine_.hold(*held);
  on_hold_ = held->size();
  if (!held->empty()) {
    log::warning(std::to_string(held->size()) +
                 " tasks are held after a restore: release them with `edgefleet release`, or cancel them");
  }
  return recover_tasks();
}

// On a full disk the first drain tries again; nothing of this epoch is sent before it succeeds.
Status Loop::begin_reign() {
  const auto last = store_.reign();
  if (!last) return last.error();
  const auto identity = store_.identity();
  if (!identity) return identity.error();
  last_session_ = last->session;
  link_.set_store(*identity);
  engine_.begin_reign(last->epoch + 1);
  Drain& drain = engine_.drain();
  const Time mono = monotonic_now();
  auto written = store_.commit(drain.close(mono, upkeep_.store_clock(mono)));
  if (!written && written.error().kind != ErrorKind::full) return written;
  if (written) {
    drain.committed(Engine::now(), [](const Drain::AfterCommit&) {});
  } else {
    drain.reopen();
  }
  return success();
}

Status Loop::recover_tasks() {
  TaskId after;
  for (bool more = true; more;) {
    auto records = store_.unfinished(after, recovered_at_once);
    if (!records) return records.error();
    more = records->size() == recovered_at_once;
    if (more) after = records->back().id;
    for (auto& record : *records) {
      record.tokens = expected_tokens(record.spec);
      // The connections on which their clients waited have closed.
      if (is_present(record.submitter) && record.state != TaskState::cancelling) abandoned_.push_back(record.id);
    }
    engine_.recover(std::move(*records));
  }
  if (const auto tasks = engine_.state().tasks.size(); tasks > 0) {
    log::info("taking over " + std::to_string(tasks) + " unfinished tasks");
  }
  return success();
}

void Loop::cancel_abandoned() {
  if (abandoned_.empty()) return;
  log::info("cancelling " + std::to_string(abandoned_.size()) + " tasks whose clients have disconnected");
  for (const TaskId& id : std::exchange(abandoned_, {})) engine_.step(CancelTask{0, id});
}

Status Loop::connect() { return link_.start(options_.make_client); }

Status Loop::start_listener(StartCheck check) {
  mqtt::Options broker = options_.broker;
  if (options_.watch_tls) broker.tls = *options_.watch_tls;
  listener_ = std::make_unique<StartListener>(options_.fleet, std::move(broker), engine_.state().reign.session,
                                              std::move(check), complaints_);
  return listener_->start(options_.make_client, [this](mqtt::ClientEvent event) {
    const bool message = std::holds_alternative<mqtt::Received>(event);
    HeardAtStart heard{std::move(event)};
    message ? void(inbox_.offer(std::move(heard))) : inbox_.insist(std::move(heard));
  });
}

void Loop::end_listening() {
  if (!listener_) return;
  listener_->tick();
  const auto verdict = listener_->verdict();
  if (verdict == StartCheck::Verdict::listening) return;
  if (verdict == StartCheck::Verdict::other_works) refused_ = listener_->why_refused();
  listener_->stop();
  listener_.reset();
  if (refused_) return;
  if (link_.thrown_out()) return link_.come_back();
  if (auto connected = connect(); !connected) refused_ = connected.error().message;
}

// Another client with this coordinator's name: if it is a coordinator, both would throw each other out without end.
void Loop::listen_if_thrown_out() {
  if (!link_.thrown_out() || listener_) return;
  // The one that is to make room came back before it could hear of this one, which must not give way to it.
  if (options_.take_over && monotonic_now() - began_ < taking_over) return link_.come_back();
  log::warning(
      "the broker may have ended the connection for another coordinator; listening for one before this one comes back");
  if (auto started = start_listener(StartCheck(engine_.state().reign.session, true)); !started) {
    refused_ = started.error().message;
  }
}

// ---- a turn

Status Loop::run() {
  began_ = monotonic_now();
  if (auto started = options_.take_over ? connect() : start_listener(StartCheck(last_session_)); !started)
    return started;
  cancel_abandoned();
  while (!stopping_ && !engine_.stop_reason() && !unrecorded_ && !refused_) turn();
  end();
  if (refused_) return Error{*refused_};
  if (unrecorded_) return Error{*unrecorded_};
  if (engine_.stop_reason()) return Error{*engine_.stop_reason()};
  return success();
}

void Loop::turn() {
  const auto wake = wake_at();
  auto items = postponed_.empty() ? inbox_.drain(wake) : std::exchange(postponed_, {});
  const Time began = monotonic_now();
  if (wake) notice_stall(*wake);
  link_.notice_drops();
  for (auto& item : items) take(item);
  listen_if_thrown_out();
  end_listening();
  link_.tick();
  engine_.place();
  commit();
  link_.send_replies();
  upkeep_.run(waits_for_a_time());
  notice_stall(began);
}

std::optional<Time> Loop::wake_at() const {
  Time at = upkeep_.next(waits_for_a_time());
  const auto listening = listener_ ? listener_->next_tick() : std::nullopt;
  for (const auto& other : {next_deadline(engine_.state()), link_.next_tick(), listening}) {
    if (other) at = std::min(at, *other);
  }
  return at;
}

// Deadlines that passed while the coordinator was blocked or suspended do not count against agents or tasks.
void Loop::notice_stall(Time since) {
  if (monotonic_now() - since < stall) return;
  log::warning("the coordinator was blocked for " + std::to_string(to_ms(monotonic_now() - since)) + " ms");
  engine_.step(Stalled{});
}

void Loop::take(Item& item) {
  std::visit(overloaded{
                 [&](const mqtt::ClientEvent& event) { link_.handle(event); },
                 [&](LoopRequest& request) {
                   if (undecided() && adds_tasks(request)) return refuse(request, starting());
                   requests_.take(std::move(request));
                 },
                 [&](const HeardAtStart& heard) {
                   if (listener_) listener_->handle(heard.event);
                 },
                 [&](const Look& look) { look.with(engine_.state(), Engine::now()); },
                 [](const Wake&) {},
             },
             item);
}

// ---- commit, then all externally visible effects

void Loop::commit() {
  Drain& drain = engine_.drain();
  const Time mono = monotonic_now();
  const Writes& writes = drain.close(mono, upkeep_.store_clock(mono));
  const bool wrote = !writes.empty();
  if (!record(writes)) return engine_.give_up();
  on_hold_ = engine_.state().on_hold.size();
  drain.committed(Engine::now(), [&](const Drain::AfterCommit& after) { announce(after, mono, wrote); });
}

// Until the writes are durable, nothing later is stepped, published, acknowledged or answered. False: the program must
// end, and the store still fails.
bool Loop::record(const Writes& writes) {
  Duration pause = first_pause;
  std::optional<Time> give_up_at;
  for (auto written = store_.commit(writes); !written; written = store_.commit(writes)) {
    if (store_well_.exchange(false)) log::error(written.error().message + "; retrying until it succeeds");
    if ((stopping_ || engine_.stop_reason()) && !give_up_at) give_up_at = monotonic_now() + options_.last_tries;
    if (give_up_at && monotonic_now() > *give_up_at) {
      unrecorded_ = (engine_.stop_reason() ? *engine_.stop_reason() + "; " : std::string()) +
                    "stopping with changes that could not be recorded: " + written.error().message;
      return false;
    }
    if (written.error().kind == ErrorKind::full && make_room(writes)) pause = shortest_pause;
    refuse_while_failing(monotonic_now() + pause, written.error());
    pause = std::min(pause * 2, longest_pause);
  }
  if (!store_well_.exchange(true)) log::info("the store has recovered");
  return true;
}

// A task that is being retried has still ended in the store, where it must not be removed before these writes.
bool Loop::make_room(const Writes& writes) { return writes.revived == 0 && upkeep_.make_room(); }

void Loop::announce(const Drain::AfterCommit& after, Time mono, bool wrote) {
  for (const Deferred& effect : after.effects) perform(effect);
  after_commit_.tell(after.changes, engine_.state());
  upkeep_.committed(mono, wrote, std::ranges::any_of(after.changes, has_ended));
}

void Loop::perform(const Deferred& effect) {
  std::visit(overloaded{
                 [&](const SendTasks& e) { link_.perform(e); },
                 [&](const SendAcknowledge& e) { link_.perform(e); },
                 [&](const SendCancel& e) { link_.perform(e); },
                 [&](const SendRecall& e) { link_.perform(e); },
                 [&](const SendDrain& e) { link_.perform(e); },
                 [&](const SendReload& e) { link_.perform(e); },
                 [&](const AskStore& e) { link_.perform(e); },
                 [&](const AnnounceReign& e) { link_.perform(e); },
                 [&](const SendIntroduce& e) { link_.perform(e); },
                 [&](const SendDescribe& e) { link_.perform(e); },
                 [&](const ForgetAgent& e) { link_.perform(e); },
                 [&](const Accepted& e) { requests_.answer(e); },
                 [&](const Rejected& e) { requests_.answer(e); },
                 [&](const Done& e) { requests_.answer(e); },
             },
             effect);
}

void Loop::refuse_while_failing(Time until, const Error& why) {
  const Error full{"nothing new can be accepted: " + why.message, ErrorKind::full};
  while (monotonic_now() < until) {
    for (auto& item : inbox_.drain(until)) {
      if (keep(item, full)) postponed_.push_back(std::move(item));
    }
    link_.send_replies();
  }
}

// True: it is kept until the store works again.
bool Loop::keep(Item& item, const Error& full) {
  const bool room = postponed_.size() < options_.inbox;
  return std::visit(overloaded{
                        [&](const mqtt::ClientEvent& event) { return link_.keep(event, room, full); },
                        [&](const LoopRequest& request) {
                          if (room && !adds_tasks(request)) return true;
                          refuse(request, full);
                          return false;
                        },
                        [&](const Look& look) {
                          look.with(engine_.state(), Engine::now());
                          return false;
                        },
                        [&](const HeardAtStart& heard) {
                          if (listener_) listener_->handle(heard.event);
                          return false;
                        },
                        [](const Wake&) { return false; },
                    },
                    item);
}

// ---- the end

void Loop::end() {
  if (store_well_ && !engine_.stop_reason() && !refused_) upkeep_.stop(monotonic_now());
  over_ = true;
  waiters_.stop();
  hub_.stop();
  refuse_rest();
  link_.send_replies();
  if (!unrecorded_ && !engine_.stop_reason()) link_.publish_offline();
  const Time until = monotonic_now() + disconnect_patience;
  while (link_.sending() && monotonic_now() < until) {
    for (auto& item : inbox_.drain(until)) {
      const auto* event = std::get_if<mqtt::ClientEvent>(&item);
      if (event != nullptr && !std::holds_alternative<mqtt::Received>(*event)) link_.handle(*event);
    }
  }
  if (listener_) listener_->stop();
  link_.disconnect(disconnect_patience);
}

// Includes the items kept while the store failed, and requests that never became durable: each has an HTTP request that
// waits for it, and the server's stop waits for those.
void Loop::refuse_rest() {
  const Error over = being_stopped();
  auto items = std::exchange(postponed_, {});
  for (auto& item : inbox_.drain(monotonic_now())) items.push_back(std::move(item));
  for (auto& item : items) {
    std::visit(overloaded{
                   [](const mqtt::ClientEvent&) {},
                   [](const HeardAtStart&) {},
                   [](const Wake&) {},
                   [&](const Look& look) { look.with(engine_.state(), Engine::now()); },
                   [&](const LoopRequest& request) { refuse(request, over); },
               },
               item);
  }
  requests_.refuse_waiting(Error{"the coordinator is being stopped; it is not known whether the request took effect",
                                 ErrorKind::unavailable});
}

}  // namespace edgefleet::coordinator
