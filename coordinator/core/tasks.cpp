// A task's life: scheduled -> queued -> assigned -> running -> succeeded | failed | cancelled | expired, and
// cancelling between a cancel and its confirmation.
#include <algorithm>
#include <set>

#include "common/core/questions.hpp"
#include "common/core/random.hpp"
#include "common/core/utf8.hpp"
#include "common/core/where.hpp"
#include "coordinator/core/answers.hpp"
#include "coordinator/core/dispatch.hpp"
#include "coordinator/core/fleet.hpp"
#include "coordinator/core/submitter.hpp"
#include "coordinator/core/task_queue.hpp"
#include "coordinator/core/tasks.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t most_history = 64;  // attempts kept of one task; the oldest unspent ones are removed first

// The current attempt is the newest one that has not ended.
Attempt* current(Task& task) {
  auto& attempts = task.record.attempts;
  const auto found = std::find_if(attempts.rbegin(), attempts.rend(), [](const Attempt& a) { return !ended(a.state); });
  return found == attempts.rend() ? nullptr : &*found;
}

int spent(const Task& task) {
  return static_cast<int>(std::count_if(task.record.attempts.begin(), task.record.attempts.end(),
                                        [](const Attempt& a) { return a.spent; }));
}

std::uint64_t file_bytes(const TaskSpec& spec) { return spec.input_at ? spec.input_at->bytes : 0; }

Clients::Cost cost_of(const TaskRecord& record) { return {1, weight(record), file_bytes(record.spec), record.tokens}; }

// What an attempt adds to the weight of its task.
std::size_t weight(const Attempt& attempt) { return attempt.error ? attempt.error->message.size() : 0; }

void bound_history(State& state, Task& task) {
  auto& attempts = task.record.attempts;
  if (attempts.size() <= most_history) return;
  const auto oldest =
      std::find_if(attempts.begin(), attempts.end(), [](const Attempt& a) { return ended(a.state) && !a.spent; });
  if (oldest == attempts.end()) return;
  const std::size_t before = weight(*oldest);
  state.bytes -= before;
  state.clients.reweigh(task.client, before, 0);
  attempts.erase(oldest);
}

void set_error(State& state, const Task& task, Attempt& attempt, std::optional<TaskError> error) {
  const std::size_t before = weight(attempt);
  attempt.error = std::move(error);
  if (attempt.error) attempt.error->message = cut_front(attempt.error->message, state.policy.most_reason_bytes);
  if (ended(task.record.state)) return;
  state.bytes += weight(attempt) - before;
  state.clients.reweigh(task.client, before, weight(attempt));
}

void end_attempt(Context& c, const Task& task, Attempt& attempt, AttemptState state,
                 std::optional<TaskError> error = {}) {
  if (!ended(attempt.state)) {
    release(c.state, attempt.agent, task.record.id, attempt.n, attempt.lease.executor);
    attempt.lease.executor.reset();
  }
  attempt.state = state;
  attempt.ended_at = c.now.wall;
  if (error) set_error(c.state, task, attempt, std::move(error));
  if (state == AttemptState::returned) attempt.spent = false;
}

// What a result says of its tokens; otherwise an estimate. A question that failed on its way has taken none, one that
// was stopped has been read.
std::uint64_t tokens_of(const Task& task, const TaskResult& result) {
  const TaskSpec& spec = task.record.spec;
  if (result.tokens > 0) return result.tokens;
  const bool stopped = result.status == ResultStatus::cancelled && result.run > Duration{0};
  if (result.status != ResultStatus::succeeded && !stopped) return 0;
  const std::uint64_t read = estimated_tokens(bytes_of_input(spec));
  if (stopped || spec.capability.str() == "llm.embed") return read;
  return read + estimated_tokens(result.output_at ? result.output_at->bytes : result.output.size());
}

void count_tokens(Context& c, const Task& task, const TaskResult& result) {
  if (!c.state.policy.count_tokens || !is_question(task.record.spec.capability.str())) return;
  const std::uint64_t tokens = tokens_of(task, result);
  if (tokens == 0) return;
  const std::string client(client_of(task.record.submitter));
  const std::int64_t day = day_of(c.now.wall);
  c.state.budgets.count(client, day, tokens);
  c.emit(SaveTokens{client, day});
}

void save_batch(Context& c, const SubmitTasks& event, const Accepted& accepted) {
  c.state.batch_rest[*accepted.batch] = accepted.ids.size();
  c.emit(SaveBatch{{*accepted.batch, event.submitter, event.batch->idempotency_key, event.batch->fingerprint,
                    accepted.ids.front(), accepted.ids.back(), accepted.ids.size()}});
}

void count_outcome(Context& c, const BatchId& batch) {
  const auto rest = c.state.batch_rest.find(batch);
  if (rest == c.state.batch_rest.end() || --rest->second > 0) return;
  c.state.batch_rest.erase(rest);
  c.emit(BatchEnded{batch});
}

// Records the outcome. Attempts on other agents are stopped.
void count_out(State& state, const Task& task) {
  const TaskRecord& record = task.record;
  const Clients::Cost cost = cost_of(record);
  state.bytes -= cost.bytes;
  state.clients.remove(task.client, cost);
  state.conditions.remove(client_of(record.submitter), conditions_of(record.spec));
}

void finish(Context& c, Task& task, TaskState state, std::optional<TaskError> error = {}) {
  leave_queue(c, task);
  TaskRecord& record = task.record;
  for (Attempt& attempt : record.attempts) {
    if (ended(attempt.state)) continue;
    c.emit(SendCancel{attempt.agent, {{record.id, attempt.n}}});
    end_attempt(c, task, attempt, AttemptState::cancelled);
  }
  record.state = state;
  record.error = std::move(error);
  record.ended_at = c.now.wall;
  count_out(c.state, task);
  c.emit(SaveTask{record.id});
  if (record.batch) count_outcome(c, *record.batch);
}

// The start, computed from the reported run time, and not before it was assigned.
WallTime start_of(const Context& c, const Attempt& attempt, Duration run) {
  return WallTime{std::max(attempt.assigned_at.unix_ms, c.now.wall.unix_ms - to_ms(run))};
}

void clear_output(TaskRecord& record) {
  record.output.clear();
  record.output_at.reset();
}

void keep_output(TaskRecord& record, const TaskResult& result) {
  clear_output(record);
  record.output_at = result.output_at;
  if (!record.output_at) record.output = result.output;
}

void succeed(Context& c, Task& task, Attempt& attempt, const TaskResult& result) {
  if (const auto executor = attempt.lease.executor) {
    c.state.placement.learn(*executor, task.record.spec.capability, result.run);
  }
  count_tokens(c, task, result);
  if (!attempt.started_at) attempt.started_at = start_of(c, attempt, result.run);
  end_attempt(c, task, attempt, AttemptState::succeeded);
  attempt.spent = true;
  keep_output(task.record, result);
  task.record.usage = result.usage;
  task.record.run = result.run;
  finish(c, task, TaskState::succeeded);
}

Duration pause_after(Context& c, int failures) {
  return c.state.policy.retry.pause(failures, next_jitter(c.state.random));
}

// At once, except for a task that agents return again and again: each return costs a commit and an attempt number.
void place_again(Context& c, Task& task) {
  const int returns = task.record.attempts.back().n - spent(task) - c.state.policy.most_returns;
  if (returns <= 0) return enter_queue(c, task);
  schedule(c, task, pause_after(c, returns));
}

void fail_or_retry(Context& c, Task& task, const AgentName& agent, const TaskError& error) {
  if (task.record.state == TaskState::cancelling) return finish(c, task, TaskState::cancelled);
  if (!error.retryable || spent(task) >= task.record.allowed_attempts) {
    return finish(c, task, TaskState::failed, error);
  }
  task.avoid = agent;
  const Duration asked = std::min(error.retry_after.value_or(Duration{0}), c.state.policy.longest_retry_after);
  schedule(c, task, std::max(pause_after(c, spent(task)), asked));
}

void fail_attempt(Context& c, Task& task, Attempt& attempt, const TaskError& error) {
  const AgentName agent = attempt.agent;
  end_attempt(c, task, attempt, AttemptState::failed, error);
  if (current(task) == nullptr) fail_or_retry(c, task, agent, error);
}

// A status other than success counts only for the current attempt.
void other_result(Context& c, Task& task, Attempt& attempt, const TaskResult& result) {
  if (ended(attempt.state)) return;
  count_tokens(c, task, result);
  const AgentName agent = attempt.agent;
  const bool counts = current(task) == &attempt;
  const auto executor = attempt.lease.executor;
  task.record.run = result.run;
  switch (result.status) {
    case ResultStatus::succeeded:
      return;  // handled by succeed()
    case ResultStatus::failed: {
      const TaskError error = result.error.value_or(TaskError{"failed", "the agent gave no reason", false, {}});
      end_attempt(c, task, attempt, AttemptState::failed, error);
      task.expires.reset();  // it limits only the start
      if (result.output_at || result.output != "null") keep_output(task.record, result);
      if (counts) fail_or_retry(c, task, agent, error);
      if (!ended(task.record.state)) clear_output(task.record);  // a waiting task keeps no output in memory
      break;
    }
    case ResultStatus::cancelled:
      end_attempt(c, task, attempt, AttemptState::cancelled, result.error);
      if (!counts) break;
      if (task.record.state == TaskState::cancelling) return finish(c, task, TaskState::cancelled);
      // Stopped without a cancel of ours: the task is tried again, within its attempts.
      fail_or_retry(c, task, agent,
                    TaskError{"stopped", "agent " + agent.str() + " stopped it without a request", true, {}});
      break;
    case ResultStatus::returned:
      end_attempt(c, task, attempt, AttemptState::returned, result.error);
      task.avoid = agent;
      if (executor && !(result.error && result.error->code == "recalled")) {
        // Full, hot or draining: the executor gets no task until the next beat reports its slots.
        c.state.placement.update(*executor, [](ExecutorView& view) { view.slots = 0; });
      }
      if (!counts) break;
      if (task.record.state == TaskState::cancelling) return finish(c, task, TaskState::cancelled);
      place_again(c, task);
      break;
  }
  if (!ended(task.record.state)) c.emit(SaveTask{task.record.id});
}

}  // namespace

Attempt* find_attempt(Task& task, int n) {
  auto& attempts = task.record.attempts;
  const auto found = std::find_if(attempts.begin(), attempts.end(), [&](const Attempt& a) { return a.n == n; });
  return found == attempts.end() ? nullptr : &*found;
}

bool awaits(const State& state, const AgentName& agent, const AttemptKey& key) {
  const auto task = state.tasks.find(key.id);
  if (task == state.tasks.end() || ended(task->second.record.state)) return false;
  return std::ranges::any_of(task->second.record.attempts,
                             [&](const Attempt& a) { return a.n == key.attempt && a.agent == agent; });
}

// The memory for the rest of a task is bounded by the number of tasks.
std::size_t weight(const TaskSpec& spec) {
  std::size_t bytes = spec.input.size() + spec.name.size();
  if (spec.input_at) {
    bytes += sizeof(TextFile);
    for (const auto& id : spec.input_at->artifacts) bytes += sizeof(id) + id.size();
  }
  for (const auto& [name, value] : spec.where) bytes += name.size() + value.size() + sizeof(Where::value_type);
  return bytes;
}

std::size_t weight(const TaskRecord& record) {
  std::size_t bytes = weight(record.spec);
  for (const Attempt& attempt : record.attempts) bytes += weight(attempt);
  return bytes;
}

void count_in(State& state, Task& task) {
  const TaskRecord& record = task.record;
  const Clients::Cost cost = cost_of(record);
  state.bytes += cost.bytes;
  task.client = state.clients.add(client_of(record.submitter), cost,
                                  [&](ClientIndex index) { return state.placement.forget(index); });
  state.conditions.add(client_of(record.submitter), conditions_of(record.spec));
}

// ---- submit, cancel, retry

namespace {

void refuse(Context& c, RequestId request, const std::string& full) {
  c.emit(Rejected{request, Error{"the queue is full: " + full + "; try again later", ErrorKind::busy}});
}

// One client has at most as much as is free for the others: half if it is the only one, a third beside another one that
// takes all it can get. So there is always room for the next. Everybody on this machine has all of it.
std::optional<std::string> lacks_share(const State& state, const std::string& client, const Clients::Cost& more) {
  if (client == local_client) return std::nullopt;
  struct Share {
    std::uint64_t own, all, more, most;
    const char* what;
  };
  const Policy& policy = state.policy;
  // A client has no more than all have: most of the time nothing must be looked up.
  const bool half_empty = 2 * (state.tasks.size() + more.tasks) <= policy.most_tasks &&
                          2 * (state.bytes + more.bytes) <= policy.most_bytes &&
                          2 * (state.clients.file_bytes() + more.file_bytes) <= policy.most_file_bytes;
  if (half_empty) return std::nullopt;
  const Clients::Cost own = state.clients.cost(client);
  // clang-format off
  for (const Share& one : {
           Share{own.tasks, state.tasks.size(), more.tasks, policy.most_tasks, " unfinished tasks"},
           Share{own.bytes, state.bytes, more.bytes, policy.most_bytes, " bytes of inputs"},
           Share{own.file_bytes, state.clients.file_bytes(), more.file_bytes, policy.most_file_bytes, " bytes of inputs in files"}}) {
    // clang-format on
    if (one.more == 0 || one.own + one.more + one.all + one.more <= one.most) continue;
    return "the client " + client + " has " + std::to_string(one.own) + one.what +
           "; one client may have as many as are free, of " + std::to_string(one.most) + " for all";
  }
  return std::nullopt;
}

// The bound that so much more would exceed.
std::optional<std::string> lacks_room(const State& state, const std::string& client, const Clients::Cost& more) {
  if (state.tasks.size() + more.tasks > state.policy.most_tasks) {
    return "it holds " + std::to_string(state.tasks.size()) + " unfinished tasks, the maximum is " +
           std::to_string(state.policy.most_tasks);
  }
  if (state.bytes + more.bytes > state.policy.most_bytes) {
    return "the inputs of its tasks need " + std::to_string(state.bytes) + " bytes, the maximum is " +
           std::to_string(state.policy.most_bytes);
  }
  return lacks_share(state, client, more);
}

std::optional<std::string> lacks_conditions(const State& state, const std::string& client,
                                            const std::vector<const TaskSpec*>& specs) {
  std::set<Where> conditions;
  for (const TaskSpec* spec : specs) {
    if (auto where = conditions_of(*spec); !state.conditions.has(client, where)) conditions.insert(std::move(where));
  }
  const std::size_t all = state.conditions.count();
  const std::size_t own = state.conditions.count(client);
  if (conditions.empty() || (all + conditions.size() <= state.policy.most_conditions &&
                             own + conditions.size() <= state.policy.most_conditions_of_one)) {
    return std::nullopt;
  }
  return "its tasks have " + std::to_string(all) + " different conditions (`where`), " + std::to_string(own) +
         " of them yours; the maximum is " + std::to_string(state.policy.most_conditions) + ", and " +
         std::to_string(state.policy.most_conditions_of_one) + " for one client";
}

// The tasks of one event count as if they came one after the other: the last may take more than there is. `before`:
// what those before it are expected to take.
std::optional<Error> lacks_tokens(const Context& c, const std::string& client, std::uint64_t per_day,
                                  std::uint64_t before) {
  if (per_day == 0) return std::nullopt;
  const std::uint64_t used = c.state.budgets.used(client, day_of(c.now.wall));
  const std::uint64_t reserved = c.state.clients.cost(client).tokens;
  if (used + reserved + before < per_day) return std::nullopt;
  const Duration rest = until_next_day(c.now.wall);
  const std::string of_budget = " of its " + std::to_string(per_day) + " tokens a day";
  const std::string what = "the access " + client + " has used " + std::to_string(used) + of_budget;
  const auto minutes = std::chrono::ceil<std::chrono::minutes>(rest).count();
  const std::string when = "; they begin anew at midnight UTC, in " + std::to_string(minutes / 60) + " h " +
                           std::to_string(minutes % 60) + " min";
  const std::string all = "these tasks need about " + std::to_string(before) + " and more";
  if (before >= per_day) return Error{what + ", and " + all + ": submit fewer at a time", ErrorKind::too_large};
  if (used >= per_day) return Error{what + when, ErrorKind::used_up, rest};
  if (used + before >= per_day) return Error{what + ", and " + all + when, ErrorKind::used_up, rest};
  return Error{what + ", and its unfinished tasks may need " + std::to_string(reserved) +
                   ": try again when some of them have ended",
               ErrorKind::busy};
}

std::uint64_t tokens_before_last(const std::vector<SubmitTasks::One>& tasks) {
  std::uint64_t sum = 0, last = 0;
  for (const auto& one : tasks) {
    if (one.tokens == 0) continue;
    sum += last;
    last = one.tokens;
  }
  return sum;
}

}  // namespace

void on(Context& c, const SubmitTasks& event) {
  State& state = c.state;
  const std::string client(client_of(event.submitter));
  Clients::Cost more{event.tasks.size(), 0, 0};
  std::vector<const TaskSpec*> specs;
  specs.reserve(event.tasks.size());
  for (const auto& one : event.tasks) {
    more.bytes += weight(one.spec);
    more.file_bytes += file_bytes(one.spec);
    specs.push_back(&one.spec);
  }
  auto full = lacks_room(state, client, more);
  if (!full) full = lacks_conditions(state, client, specs);
  if (full) return refuse(c, event.request, *full);
  if (std::ranges::any_of(event.tasks, [](const auto& one) { return one.tokens > 0; })) {
    auto lacking = lacks_tokens(c, client, event.tokens_per_day, tokens_before_last(event.tasks));
    if (lacking) return c.emit(Rejected{event.request, std::move(*lacking)});
  }
  Accepted accepted{event.request, {}, {}};
  if (event.batch) accepted.batch = BatchId{state.ids.next(c.now.wall)};
  accepted.ids.reserve(event.tasks.size());
  for (const auto& one : event.tasks) {
    const TaskId id{state.ids.next(c.now.wall)};
    Task& task = state.tasks[id];
    TaskRecord& record = task.record;
    record.id = id;
    record.spec = one.spec;
    record.submitter = event.submitter;
    record.idempotency_key = one.idempotency_key;
    record.batch = accepted.batch;
    record.allowed_attempts = one.spec.max_attempts;
    record.accepted_at = c.now.wall;
    record.order = order_of(c, one.spec.priority);
    record.tokens = one.tokens;
    if (one.spec.expires_after) task.expires = c.now.mono + *one.spec.expires_after;
    if (!one.beginnings.empty()) {
      task.near = state.conversations.holder(one.beginnings);
      task.conversation = one.beginnings.back();
    }
    count_in(state, task);
    accepted.ids.push_back(id);
    c.emit(SaveTask{id, true});
    start(c, task, one.spec.delay);
  }
  if (event.batch) save_batch(c, event, accepted);
  c.emit(std::move(accepted));
}

void on(Context& c, const CancelTask& event) {
  const auto found = c.state.tasks.find(event.id);
  if (found == c.state.tasks.end()) {
    return c.emit(Rejected{event.request, Error{"task " + event.id.str() + " is not known", ErrorKind::not_found}});
  }
  Task& task = found->second;
  switch (task.record.state) {
    case TaskState::scheduled:
    case TaskState::queued:
      finish(c, task, TaskState::cancelled);
      break;
    case TaskState::assigned:
    case TaskState::running:
      task.record.state = TaskState::cancelling;
      for (const Attempt& attempt : task.record.attempts) {
        if (!ended(attempt.state)) c.emit(SendCancel{attempt.agent, {{event.id, attempt.n}}});
      }
      c.emit(SaveTask{event.id});
      break;
    case TaskState::cancelling:
      break;
    case TaskState::succeeded:
    case TaskState::failed:
    case TaskState::cancelled:
    case TaskState::expired:
      return c.emit(Rejected{event.request, already_ended(event.id, task.record.state)});
  }
  c.emit(Done{event.request});
}

void on(Context& c, const RetryTask& event) {
  const TaskRecord& old = event.record;
  if (c.state.tasks.count(old.id) > 0) {
    return c.emit(Rejected{event.request, Error{"task " + old.id.str() + " has not ended", ErrorKind::conflict}});
  }
  if (old.state == TaskState::succeeded) {
    return c.emit(Rejected{
        event.request, Error{"task " + old.id.str() + " has succeeded and cannot be retried", ErrorKind::conflict}});
  }
  const std::string client(client_of(old.submitter));
  auto full = lacks_room(c.state, client, cost_of(old));
  if (!full) full = lacks_conditions(c.state, client, {&old.spec});
  if (full) return refuse(c, event.request, *full);
  if (old.tokens > 0) {
    if (auto lacking = lacks_tokens(c, client, event.tokens_per_day, 0))
      return c.emit(Rejected{event.request, std::move(*lacking)});
  }
  Task& task = c.state.tasks[old.id];
  task.record = old;
  task.durable = durable_state(old);
  if (old.batch) ++c.state.batch_rest[*old.batch];
  for (Attempt& attempt : task.record.attempts) attempt.lease = {};
  task.record.allowed_attempts = spent(task) + old.spec.max_attempts;
  task.record.order = order_of(c, old.spec.priority);
  task.record.ended_at.reset();
  task.record.error.reset();
  clear_output(task.record);
  if (old.spec.expires_after) task.expires = c.now.mono + *old.spec.expires_after;
  count_in(c.state, task);
  enter_queue(c, task);
  c.emit(SaveTask{old.id, false, true});
  c.emit(Done{event.request});
}

// ---- results

namespace {

// Without its output: the size of that one is known, and it is not kept.
TaskResult too_large(const TaskResult& result, std::uint64_t most) {
  TaskResult failed = result;
  failed.status = ResultStatus::failed;
  failed.output_at.reset();
  failed.error = TaskError{"output_too_large",
                           "the output has " + std::to_string(result.output_at->bytes) + " bytes; the maximum is " +
                               std::to_string(most) + " (--max-task-mb of the coordinator)",
                           false,
                           {}};
  return failed;
}

}  // namespace

void on(Context& c, const ResultsSeen& event) {
  SendAcknowledge acknowledge{event.agent, {}, false};
  AskStore ask{event.agent, {}};
  for (const TaskResult& result : event.results) {
    const AttemptKey key{result.id, result.attempt};
    const auto found = c.state.tasks.find(result.id);
    if (found == c.state.tasks.end()) {
      ask.tasks.push_back(key);
      continue;
    }
    acknowledge.tasks.push_back(key);
    Task& task = found->second;
    if (ended(task.record.state)) continue;  // too late: it changes nothing
    Attempt* const attempt = find_attempt(task, result.attempt);
    if (attempt == nullptr || attempt->agent != event.agent) {
      c.note(NoteLevel::warning,
             "agent " + event.agent.str() + " reports attempt " + std::to_string(result.attempt) + " of task " +
                 result.id.str() + ", which was not assigned to it: ignored",
             "not assigned " + event.agent.str());
      continue;
    }
    const std::uint64_t most = c.state.policy.max_task_bytes;
    if (result.output_at && result.output_at->bytes > most) {
      other_result(c, task, *attempt, too_large(result, most));
    } else if (result.status == ResultStatus::succeeded) {
      succeed(c, task, *attempt, result);
    } else {
      other_result(c, task, *attempt, result);
    }
  }
  if (!acknowledge.tasks.empty()) c.emit(std::move(acknowledge));
  if (!ask.tasks.empty()) c.emit(std::move(ask));
}

ExecutorName executor_of(const State& state, const Task& task, int attempt) {
  const auto& attempts = task.record.attempts;
  const auto found = std::find_if(attempts.begin(), attempts.end(), [&](const Attempt& a) { return a.n == attempt; });
  if (found == attempts.end() || !found->lease.executor) return {};
  return state.placement.executor(*found->lease.executor).info.name;
}

// ---- attempts

void assign(Context& c, Task& task, ExecutorIndex executor) {
  bound_history(c.state, task);
  Agent& agent = c.state.agents[c.state.placement.executor(executor).agent];
  TaskRecord& record = task.record;
  Attempt attempt;
  attempt.n = record.attempts.empty() ? 1 : record.attempts.back().n + 1;
  attempt.agent = agent.name;
  attempt.session = agent.session;
  attempt.assigned_at = c.now.wall;
  attempt.lease.sent_at = c.now.mono;
  attempt.lease.executor = executor;
  record.attempts.push_back(std::move(attempt));
  if (task.queued_near) take_out(c.state, task);  // placement has removed it from one of the two queues
  task.queued_in.reset();
  c.state.task_deadlines.clear(record.id);
  record.state = TaskState::assigned;
  hold(c.state, agent, record, record.attempts.back().n, executor);
  const ExecutorView& view = c.state.placement.executor(executor);
  if (view.assigned > view.slots) recall_later(c, agent);
  if (task.conversation != 0) c.state.conversations.given(task.conversation, agent.name);
  if (const auto model = record.spec.where.find("model"); model != record.spec.where.end()) {
    c.state.placement.expect_loaded(executor, model->second);
  }
  c.emit(SaveTask{record.id});
}

void mark_running(Context& c, Task& task, int n, Duration run) {
  Attempt* const attempt = find_attempt(task, n);
  if (attempt == nullptr) return;
  if (!attempt->lease.running_since) attempt->lease.running_since = c.now.mono - run;
  if (attempt->state != AttemptState::assigned) return;
  attempt->state = AttemptState::running;
  attempt->started_at = start_of(c, *attempt, run);
  task.expires.reset();  // it limits only the start
  if (task.record.state == TaskState::assigned) task.record.state = TaskState::running;
  c.emit(SaveTask{task.record.id});
}

void result_missing(Context& c, Task& task, int n) {
  Attempt* const attempt = find_attempt(task, n);
  if (attempt == nullptr) return;
  const AgentName agent = attempt->agent;
  const TaskError error{"result_missing",
                        "agent " + agent.str() +
                            " lists a result as done, but no readable result arrived; it keeps the result "
                            "for an operator",
                        true,
                        {}};
  c.emit(SendAcknowledge{agent, {{task.record.id, n}}, true});
  fail_attempt(c, task, *attempt, error);
}

void on(Context& c, const Undeliverable& event) {
  for (const AttemptKey& key : event.attempts) {
    const auto found = c.state.tasks.find(key.id);
    if (found == c.state.tasks.end()) continue;
    Attempt* const attempt = find_attempt(found->second, key.attempt);
    if (attempt == nullptr || attempt->state != AttemptState::assigned) continue;
    const std::string agent = attempt->agent.str();
    fail_attempt(c, found->second, *attempt,
                 TaskError{"undeliverable", "it cannot be sent to agent " + agent + ": " + event.reason, false, {}});
  }
}

// It ends as failed, and is stopped at its agent.
static void stop_attempt(Context& c, Task& task, int n, const char* code, const std::string& what) {
  Attempt* const attempt = find_attempt(task, n);
  if (attempt == nullptr) return;
  const AgentName agent = attempt->agent;
  c.emit(SendCancel{agent, {{task.record.id, n}}});
  fail_attempt(c, task, *attempt, TaskError{code, "agent " + agent.str() + " " + what, true, {}});
}

void attempt_not_delivered(Context& c, Task& task, int n) {
  stop_attempt(c, task, n, "not_delivered",
               "has not received it within its timeout, although it was sent again: check its permission to read its "
               "topics, and the largest message that the broker allows");
}

void attempt_timed_out(Context& c, Task& task, int n) {
  stop_attempt(c, task, n, "timed_out", "still held it after its timeout");
}

void attempt_lost(Context& c, Task& task, int n, const std::string& how) {
  Attempt* const attempt = find_attempt(task, n);
  if (attempt == nullptr) return;
  const AgentName agent = attempt->agent;
  const bool had_not_begun = attempt->lease.listed_waiting;
  const TaskError error{"agent_lost", "agent " + agent.str() + " " + how, true, {}};
  end_attempt(c, task, *attempt, AttemptState::lost, error);
  c.state.task_deadlines.clear(task.record.id);
  if (current(task) != nullptr) return;  // another attempt continues
  if (task.record.state == TaskState::cancelling) {
    return finish(
        c, task, TaskState::cancelled,
        TaskError{"stop_unconfirmed", "agent " + agent.str() + " " + how + " before it confirmed the stop", false, {}});
  }
  if (task.record.spec.max_attempts == 1) {
    return finish(c, task, TaskState::failed,
                  TaskError{"outcome_unknown",
                            "agent " + agent.str() + " " + how + "; it is not known whether the task was done",
                            false,
                            {}});
  }
  // Its last beat listed the task as waiting: the task did not cause the loss.
  const auto unspent = std::count_if(task.record.attempts.begin(), task.record.attempts.end(),
                                     [](const Attempt& a) { return a.state == AttemptState::lost && !a.spent; });
  if (had_not_begun && unspent < c.state.policy.most_unspent_losses) attempt->spent = false;
  if (spent(task) >= task.record.allowed_attempts) return finish(c, task, TaskState::failed, error);
  task.avoid = agent;
  enter_queue(c, task);
}

void start_grace(Context& c, Task& task, int n) {
  const Attempt* const attempt = find_attempt(task, n);
  if (attempt == nullptr || current(task) != attempt) return attempt_lost(c, task, n, "was lost");
  Duration grace = c.state.policy.shortest_grace;
  if (const auto since = attempt->lease.running_since) {
    const Duration share{
        static_cast<std::int64_t>(static_cast<double>((c.now.mono - *since).count()) * c.state.policy.grace_share)};
    grace = std::clamp(share, grace, c.state.policy.longest_grace);
  }
  c.state.task_deadlines.set(task.record.id, c.now.mono + grace);
}

void end_grace(Context& c, Task& task) {
  if (current(task) != nullptr && !task.due && !task.queued_in) c.state.task_deadlines.clear(task.record.id);
}

bool take_back(Context& c, Task& task, int n, const AgentName& agent) {
  Attempt* const back = find_attempt(task, n);
  if (back == nullptr || back->state != AttemptState::lost || back->agent != agent || back->lease.stopping)
    return false;
  if (ended(task.record.state) || task.record.state == TaskState::cancelling) return false;
  if (Attempt* const successor = current(task)) {
    if (successor->state == AttemptState::running) return false;
    c.emit(SendCancel{successor->agent, {{task.record.id, successor->n}}});
    end_attempt(c, task, *successor, AttemptState::cancelled);
    successor->spent = false;
  }
  leave_queue(c, task);
  back->state = AttemptState::assigned;
  back->ended_at.reset();
  set_error(c.state, task, *back, {});
  back->spent = true;
  task.record.state = TaskState::assigned;
  c.emit(SaveTask{task.record.id});
  return true;
}

// ---- deadlines

bool expire(Context& c, Task& task) {
  if (!task.expires || *task.expires > c.now.mono || task.record.state == TaskState::cancelling) return false;
  finish(c, task, TaskState::expired,
         TaskError{"expired",
                   "it did not start within " + std::to_string(to_ms(*task.record.spec.expires_after)) + " ms",
                   false,
                   {}});
  return true;
}

void on_task_deadline(Context& c, TaskId id) {
  const auto found = c.state.tasks.find(id);
  if (found == c.state.tasks.end()) return;
  Task& task = found->second;
  switch (task.record.state) {
    case TaskState::scheduled:
    case TaskState::queued:
      if (expire(c, task)) return;
      if (task.record.state == TaskState::scheduled) enter_queue(c, task);
      return;
    case TaskState::assigned:
    case TaskState::running:
    case TaskState::cancelling:
      if (!c.state.connected) return;  // all graces restart after the reconnect
      if (const Attempt* const attempt = current(task)) {
        attempt_lost(c, task, attempt->n, "was lost and did not come back in time");
      }
      return;
    case TaskState::succeeded:
    case TaskState::failed:
    case TaskState::cancelled:
    case TaskState::expired:
      return;
  }
}

Task::Durable durable_state(const TaskRecord& record) {
  return {record.state, record.attempts.empty() ? 0 : record.attempts.back().n};
}

}  // namespace edgefleet::coordinator
