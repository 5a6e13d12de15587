#include "edge-agent/core/step.hpp"

#include <algorithm>
#include <utility>

#include "edge-agent/core/capacity.hpp"
#include "edge-agent/core/offers.hpp"

namespace edgefleet::agent {

// ---- the life of a task here

void finish(Context& c, const AttemptKey& key, Held& held, TaskResult result) {
  State& state = c.state;
  result.id = key.id;
  result.attempt = key.attempt;
  result.capability = held.capability;
  held.phase = HeldPhase::done;
  held.done_at = c.now;
  held.input.clear();
  held.result = std::move(result);
  ++state.results;
  state.result_bytes += held.result.output.size();
  state.unsent.insert(key);
  state.capacity_changed = true;
}

void finish(Context& c, const AttemptKey& key, Held& held, ResultStatus status, std::optional<TaskError> error) {
  TaskResult result;
  result.status = status;
  result.error = std::move(error);
  finish(c, key, held, std::move(result));
}

void pump(Context& c, ExecutorSlots& executor) {
  while (executor.running < allowed(c.state, executor) && !executor.waiting.empty()) {
    const AttemptKey key = executor.waiting.front();
    executor.waiting.pop_front();
    Held& held = c.state.held.at(key);
    held.phase = HeldPhase::running;
    held.started_at = c.now;
    held.frozen_before = c.state.cooling.frozen_for;
    ++executor.running;
    c.state.capacity_changed = true;
    c.emit(StartTask{key, executor.info.name, held.capability, std::move(held.input), held.timeout,
                     std::move(held.input_at), held.most_output_bytes});
    held.input.clear();
  }
}

void pump_all(Context& c) {
  for (auto& [name, executor] : c.state.executors) pump(c, executor);
}

void return_waiting(Context& c, ExecutorSlots& executor, const char* code, const std::string& why) {
  for (const AttemptKey& key : std::exchange(executor.waiting, {})) {
    finish(c, key, c.state.held.at(key), ResultStatus::returned, TaskError{code, why, true, {}});
  }
}

namespace {

void return_waiting(Context& c, const char* code, const std::string& why) {
  for (auto& [name, executor] : c.state.executors) return_waiting(c, executor, code, why);
}

bool take_from_waiting(Context& c, const AttemptKey& key, const Held& held) {
  const auto executor = c.state.executors.find(held.executor);
  if (executor == c.state.executors.end()) return false;
  auto& waiting = executor->second.waiting;
  const auto place = std::find(waiting.begin(), waiting.end(), key);
  if (place == waiting.end()) return false;
  waiting.erase(place);
  return true;
}

void forget_result(Context& c, std::map<AttemptKey, Held>::iterator held) {
  State& state = c.state;
  --state.results;
  if (held->second.spooled) {
    --state.spooled;
    c.emit(UnspoolResult{held->first});
  }
  state.result_bytes -= held->second.result.output.size();
  state.unsent.erase(held->first);
  state.held.erase(held);
}

void say_status(Context& c) {
  const AgentState now = status_of(c.state);
  if (!c.state.link || c.state.published_status == now) return;
  c.state.published_status = now;
  c.emit(SendStatus{now});
}

void beat(Context& c) {
  if (!c.state.link) return;
  ++c.state.beats;
  c.state.capacity_changed = false;
  c.state.next_beat = c.now + heartbeat_interval;
  if (c.now >= c.state.next_introduction) {
    c.state.next_introduction = c.now + c.state.policy.introduce_every;
    c.emit(SendInfo{});
    c.state.published_status.reset();  // publish the status too, after this
  }
  c.emit(SendBeat{});
  c.emit(SendTemperature{});
}

// A beat on a change of capacity costs one credit; credits come back with time.
bool take_credit(Context& c) {
  return c.state.beat_credit.take(c.now, c.state.policy.beat_burst, c.state.policy.beat_spacing);
}

// The shell splits them into messages. Results whose artifacts are not uploaded yet are kept back.
void send_results(Context& c) {
  auto& unsent = c.state.unsent;
  if (!c.state.link || unsent.empty()) return;
  std::vector<TaskResult> results;
  for (auto key = unsent.begin(); key != unsent.end();) {
    Held& held = c.state.held.at(*key);
    if (!held.uploads.empty()) {
      ++key;
      continue;
    }
    held.sent_at = c.now;
    results.push_back(held.result);
    key = unsent.erase(key);
  }
  if (!results.empty()) c.emit(SendResults{std::move(results)});
}

// ---- the spool: results on the disk

void spool(Context& c, const AttemptKey& key, Held& held) {
  if (held.phase != HeldPhase::done || held.spooled) return;
  held.spooled = true;
  ++c.state.spooled;
  c.emit(SpoolResult{key});
}

void spool_what_is_stuck(Context& c) {
  State& state = c.state;
  const bool deliverable = state.link && state.coordinator_online;
  if (deliverable) state.cut_since.reset();
  if (!deliverable && !state.cut_since) state.cut_since = c.now;
  if (state.results == state.spooled) return;
  const bool cut = state.cut_since && *state.cut_since + state.policy.spool_after <= c.now;
  for (auto& [key, held] : state.held) {
    if (cut || held.done_at + state.policy.spool_unacknowledged <= c.now) spool(c, key, held);
  }
}

// Results first, then the agent's info, its held tasks, and only then the status `online`.
void present(Context& c) {
  if (!c.state.link) return;
  for (const auto& [key, held] : c.state.held) {
    if (held.phase == HeldPhase::done) c.state.unsent.insert(key);
  }
  send_results(c);
  c.state.info_changed = false;
  c.state.next_introduction = c.now;
  beat(c);
  c.state.published_status.reset();
  say_status(c);
}

// Only the reign that the agent follows may give orders.
bool obeys(const State& state, const Reign& reign) { return reign == state.reign; }

// Follow the coordinator of `seen` instead of `known`? A newer one, unless no coordinator can have reached its epoch;
// and an older one if that is true of `known`.
bool follows(const Reign& known, const Reign& seen) {
  if (known.session.empty()) return true;
  if (seen.epoch > known.epoch) return seen.epoch - known.epoch <= limits::epochs_ahead;
  return known.epoch - seen.epoch > limits::epochs_ahead;
}

// ---- events

void on(Context& c, const LinkUp&) {
  c.state.link = true;
  present(c);
}

void on(Context& c, const LinkDown&) {
  c.state.link = false;
  c.state.published_status.reset();
  // It may reconnect to the broker later than the agent does, and misses messages sent before that.
  c.state.coordinator_online = false;
}

void on(Context& c, const CoordinatorSeen& event) {
  const Reign& known = c.state.reign;
  // The will of the followed coordinator may name the epoch that it started with.
  if (!event.online && event.reign.session == known.session) c.state.coordinator_online = false;
  if (event.reign == known) {
    const bool back = event.online && !c.state.coordinator_online;
    c.state.coordinator_online = event.online;
    if (back) present(c);  // messages sent meanwhile were lost
    return;
  }
  if (!event.online || !follows(known, event.reign)) return;  // an offline one is waited for
  c.state.coordinator_online = true;
  c.emit(WriteLog{false, "following the coordinator of epoch " + std::to_string(event.reign.epoch)});
  c.state.reign = event.reign;
  c.state.n = 0;
  present(c);
}

void on(Context& c, const IntroduceSeen& event) {
  const bool known = event.reign == c.state.reign && c.state.coordinator_online;
  on(c, CoordinatorSeen{true, event.reign});
  if (known) present(c);
}

void on(Context& c, const TasksSeen& event) {
  State& state = c.state;
  if (!obeys(state, event.reign)) {
    return c.emit(WriteLog{true, "tasks of epoch " + std::to_string(event.reign.epoch) +
                                     " are ignored: this agent follows epoch " + std::to_string(state.reign.epoch)});
  }
  state.n = std::max(state.n, event.n);
  for (const GivenTask& task : event.tasks) {
    const AttemptKey key{task.id, task.attempt};
    if (const auto known = state.held.find(key); known != state.held.end()) {
      if (known->second.phase == HeldPhase::done) state.unsent.insert(key);
      continue;  // sent again because a message was lost, not to run it twice
    }
    ExecutorSlots* const executor = executor_for(state, event.capability, task.executor);
    Held& held = state.held[key];
    held.capability = event.capability;
    held.timeout = task.timeout;
    held.most_output_bytes = event.max_output_bytes;
    if (executor != nullptr) held.executor = executor->info.name;
    if (state.cancelled.count(key) > 0) {
      finish(c, key, held, ResultStatus::cancelled);
    } else if (auto why = refusal(state, executor); !why.code.empty()) {
      finish(c, key, held, ResultStatus::returned, std::move(why));
    } else {
      held.input = task.input;
      held.input_at = task.input_at;
      executor->waiting.push_back(key);
      state.capacity_changed = true;
    }
  }
  pump_all(c);
}

void on(Context& c, const AcknowledgeSeen& event) {
  if (!obeys(c.state, event.reign)) return;
  for (const auto& [key, unknown] : event.results) {
    const auto held = c.state.held.find(key);
    if (held == c.state.held.end() || held->second.phase != HeldPhase::done) continue;
    if (unknown) c.emit(KeepForPerson{held->second.result});
    forget_result(c, held);
  }
}

void on(Context& c, const CancelSeen& event) {
  State& state = c.state;
  if (!obeys(state, event.reign)) return;
  for (const AttemptKey& key : event.tasks) {
    if (state.cancelled.size() < state.policy.most_cancels)
      state.cancelled[key] = c.now + state.policy.remember_cancels;
    const auto known = state.held.find(key);
    // Not held here: the cancel is confirmed, and remembered in case the task arrives later.
    if (known == state.held.end()) {
      Held& held = state.held[key];
      finish(c, key, held, ResultStatus::cancelled);
      continue;
    }
    Held& held = known->second;
    if (held.phase == HeldPhase::waiting && take_from_waiting(c, key, held)) {
      finish(c, key, held, ResultStatus::cancelled);
    } else if (held.phase == HeldPhase::running && !held.cancel) {
      held.cancel = true;
      c.emit(StopTask{key});
    }
  }
}

void on(Context& c, const RecallSeen& event) {
  if (!obeys(c.state, event.reign)) return;
  for (const AttemptKey& key : event.tasks) {
    const auto known = c.state.held.find(key);
    if (known == c.state.held.end() || !take_from_waiting(c, key, known->second)) continue;
    finish(c, key, known->second, ResultStatus::returned,
           TaskError{"recalled", "recalled by the coordinator", true, {}});
  }
}

void on(Context& c, const UploadSeen& event) {
  if (!obeys(c.state, event.reign)) return;
  const auto known = c.state.held.find(event.key);
  if (known == c.state.held.end() || known->second.phase != HeldPhase::done) return;
  known->second.uploads.insert(event.uploads.begin(), event.uploads.end());
  c.state.unsent.insert(event.key);
}

void on(Context& c, const DrainSeen& event) {
  if (!obeys(c.state, event.reign)) return;
  if (c.state.draining == event.drain) return;
  c.state.draining = event.drain;
  c.emit(WriteLog{false, event.drain ? "drained by the coordinator: no new tasks" : "resumed by the coordinator"});
  if (event.drain) return_waiting(c, "draining", "this agent is drained");
  c.state.capacity_changed = true;
  pump_all(c);
}

void on(Context& c, const ReloadAsked&) {
  if (stopping(c.state))
    return c.emit(WriteLog{true, "the configuration is not read again: this agent is being stopped"});
  c.emit(ReadConfiguration{});
}

void on(Context& c, const ReloadSeen& event) {
  if (obeys(c.state, event.reign)) on(c, ReloadAsked{});
}

// The coordinator gets the reason in place of the output.
void on(Context& c, const ResultsRefused& event) {
  for (const AttemptKey& key : event.results) {
    const auto known = c.state.held.find(key);
    if (known == c.state.held.end() || known->second.phase != HeldPhase::done) continue;
    Held& held = known->second;
    c.state.result_bytes -= held.result.output.size();
    held.result.output = "null";
    held.result.output_at.reset();
    c.state.result_bytes += held.result.output.size();
    held.result.usage.clear();
    held.result.status = ResultStatus::failed;
    held.result.error = TaskError{"output_too_large", "the result cannot be sent: " + event.reason, false, {}};
    c.state.unsent.insert(key);
    if (held.spooled) c.emit(SpoolResult{key});
  }
}

void on(Context& c, const Finished& event) {
  const auto known = c.state.held.find(event.key);
  if (known == c.state.held.end() || known->second.phase != HeldPhase::running) return;
  Held& held = known->second;
  TaskResult result;
  result.output = event.output;
  result.output_at = event.output_at;
  result.usage = event.usage;
  result.run = event.run;
  if (!event.error) {
    result.status = ResultStatus::succeeded;
  } else if (held.cancel) {
    result.status = ResultStatus::cancelled;
  } else if (event.error->code == "cancelled") {
    // No cancel was requested: half the work may be done, so the result is not "returned".
    result.status = ResultStatus::failed;
    result.error = stopping(c.state)
                       ? TaskError{"agent_stopping", "the agent was stopped while the task ran", true, {}}
                       : TaskError{"stopped", "the executor stopped the task without a request", true, {}};
  } else {
    result.status = ResultStatus::failed;
    result.error = event.error;
  }
  if (result.status == ResultStatus::succeeded) ++c.state.succeeded;
  if (result.status == ResultStatus::failed) ++c.state.failed;
  const auto executor = c.state.executors.find(held.executor);
  finish(c, event.key, held, std::move(result));
  held.uploads = event.uploads;
  if (executor == c.state.executors.end()) return;
  --executor->second.running;
  if (rest_after(c.state, executor->second, event.run, c.now)) {
    return_waiting(c, executor->second, "resting", "this agent lets its one slot rest to cool");
  }
  pump(c, executor->second);
  forget_if_over(c, executor->second);
}

void on(Context& c, const Restored& event) {
  const AttemptKey key{event.result.id, event.result.attempt};
  if (c.state.held.count(key) > 0) return;
  Held& held = c.state.held[key];
  held.capability = event.result.capability;
  finish(c, key, held, event.result);
  held.uploads = event.uploads;
  held.spooled = true;
  ++c.state.spooled;
}

void on(Context& c, const SpoolFailed& event) {
  const auto held = c.state.held.find(event.key);
  if (held == c.state.held.end() || !held->second.spooled) return;
  held->second.spooled = false;
  held->second.done_at = c.now;  // retried later; until then it is in memory only
  --c.state.spooled;
  if (c.state.cut_since) c.state.cut_since = c.now + c.state.policy.spool_unacknowledged;
}

void on(Context& c, const ArtifactUploaded& event) {
  for (auto& [key, held] : c.state.held) held.uploads.erase(event.artifact);
}

void on(Context& c, const ArtifactRefused& event) {
  for (auto& [key, held] : c.state.held) {
    if (held.uploads.erase(event.artifact) == 0) continue;
    held.result.status = ResultStatus::failed;
    held.result.error = TaskError{"artifact_refused", event.artifact + ": " + event.why, event.retryable, {}};
    if (held.result.output_at && held.result.output_at->artifact == event.artifact) held.result.output_at.reset();
    if (held.spooled) c.emit(SpoolResult{key});
  }
}

// The readings are checked first; a problem with a sensor is logged once, and its end once.
std::optional<double> believed(Context& c, const TemperatureRead& event) {
  SensorCheck::Verdict verdict = c.state.sensors.judge(event.zones, event.load, c.now);
  if (verdict.problem.empty() != c.state.sensor.problem.empty()) {
    c.emit(WriteLog{!verdict.problem.empty(),
                    verdict.problem.empty() ? "the temperature can be read again" : "temperature: " + verdict.problem});
    if (c.state.link) c.emit(SendTemperature{});
  }
  if (!verdict.notice.empty()) c.emit(WriteLog{false, verdict.notice});
  c.state.sensor = std::move(verdict);
  return c.state.sensor.celsius;
}

void on(Context& c, const TemperatureRead& event) {
  const HeatPolicy before = c.state.heat.policy();
  const double share_before = c.state.heat.share();
  c.state.throttled = event.throttled;
  const auto celsius = believed(c, event);
  c.state.heat.read(celsius, c.now, c.state.sensor.expected);
  const HeatPolicy after = c.state.heat.policy();
  if (c.state.heat.share() != share_before) {
    c.state.capacity_changed = true;
    pump_all(c);
  }
  if (before == after) return;
  c.emit(WriteLog{after != HeatPolicy::normal, "heat policy is now " + std::string(to_string(after))});
  if (after == HeatPolicy::paused) return_waiting(c, "overheated", "this agent has paused for heat");
  if (c.state.link) c.emit(SendTemperature{});  // before the status that follows from it
}

// After every event: ends of rests, and the duty cycle.
void keep_cool(Context& c) {
  if (end_rests(c.state, c.now)) {
    c.state.capacity_changed = true;
    pump_all(c);
  }
  keep_duty(c.state, c.now, c.effects);
}

void on(Context& c, const Stop&) {
  if (stopping(c.state)) return;
  c.state.stop_at = c.now + c.state.policy.stop_grace;
  return_waiting(c, "stopping", "this agent is being stopped");
  c.state.capacity_changed = true;
}

// While stopping: running tasks have their grace, results wait for their acknowledgement.
void go_on_stopping(Context& c) {
  State& state = c.state;
  if (!stopping(state)) return;
  const bool over = c.now >= *state.stop_at;
  if (over && !state.stopped_rest) {
    state.stopped_rest = true;
    for (const auto& [key, held] : state.held) {
      if (held.phase == HeldPhase::running) c.emit(StopTask{key});
    }
    state.stop_at = c.now + std::chrono::seconds(5);
    return;
  }
  const bool idle = open_tasks(state) == 0;
  const bool nobody_listens = !state.link || !state.coordinator_online;
  if ((idle && (state.results == 0 || nobody_listens)) || over) c.emit(EndProgram{});
}

void on(Context& c, const Ending&) {
  for (auto& [key, held] : c.state.held) spool(c, key, held);
}

void note_status(Context& c) {
  const AgentState now = status_of(c.state);
  if (c.state.status == now) return;
  c.state.status = now;
  c.state.status_since = c.now;
}

// What only the shell reads has changed.
void on(Context& c, const MachineChanged&) { c.state.info_changed = true; }

void on(Context& c, const Flush&) {
  State& state = c.state;
  keep_cool(c);
  note_status(c);
  if (state.info_changed && state.link &&
      state.info_credit.take(c.now, state.policy.info_burst, state.policy.info_spacing)) {
    state.info_changed = false;
    c.emit(SendInfo{});
  }
  send_results(c);
  if (state.link && state.capacity_changed && take_credit(c)) beat(c);
  say_status(c);
  go_on_stopping(c);
}

void on(Context& c, const Tick&) {
  State& state = c.state;
  spool_what_is_stuck(c);
  if (c.now >= state.next_beat) {
    state.next_beat = c.now + heartbeat_interval;  // also without a link: next_deadline() is never in the past
    beat(c);
  }
  for (auto entry = state.cancelled.begin(); entry != state.cancelled.end();) {
    entry = entry->second < c.now ? state.cancelled.erase(entry) : std::next(entry);
  }
  if (!state.link || state.results == 0) return;
  for (const auto& [key, held] : state.held) {
    if (held.sent_at && *held.sent_at + state.policy.resend_after < c.now) state.unsent.insert(key);
  }
}

}  // namespace

Effects step(State& state, const Event& event, Time now) {
  Effects effects;
  Context context{state, now, effects};
  std::visit([&](const auto& e) { on(context, e); }, event);
  return effects;
}

// The interval of the heartbeat is enough for everything except a beat or an info that waits for credit, and the end.
Time next_deadline(const State& state) {
  Time next = state.next_beat;
  if (state.capacity_changed && state.link) {
    next = std::min(next, state.beat_credit.next(state.policy.beat_spacing) + std::chrono::milliseconds(1));
  }
  if (state.info_changed && state.link) {
    next = std::min(next, state.info_credit.next(state.policy.info_spacing) + std::chrono::milliseconds(1));
  }
  if (state.stop_at) next = std::min(next, *state.stop_at);
  if (state.cut_since && state.results > state.spooled) {
    next = std::min(next, *state.cut_since + state.policy.spool_after);
  }
  if (const auto cooling = next_cooling(state)) next = std::min(next, *cooling);
  return next;
}

std::vector<HeldTask> held_list(const State& state, Time now) {
  std::vector<HeldTask> list;
  list.reserve(state.held.size());
  for (const auto& [key, held] : state.held) {
    const Duration run = held.phase == HeldPhase::running ? now - held.started_at : Duration{0};
    list.push_back({key.id, key.attempt, held.phase, held.executor, run, extension(state, held)});
  }
  return list;
}

Temperature temperature_of(const State& state) {
  return Temperature{state.session,       state.heat.celsius(), state.heat.trend_per_minute(), state.throttled,
                     state.heat.policy(), state.sensor.sensor,  state.sensor.problem};
}

}  // namespace edgefleet::agent
