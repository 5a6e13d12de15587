#include "coordinator/events/journal.hpp"

#include <algorithm>
#include <charconv>

#include "common/core/overloaded.hpp"
#include "common/system/clock.hpp"
#include "coordinator/core/submitter.hpp"

namespace edgefleet::coordinator::events {
namespace {

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// ---- a commit's changes as events

ModelEvent event_of(const LoadedModelsChanged& change, const State& state, const Agent& agent) {
  ModelEvent event{change.agent, {}};
  for (const ExecutorIndex index : agent.executors) {
    const auto& loaded = state.placement.executor(index).info.loaded_models;
    event.loaded.insert(event.loaded.end(), loaded.begin(), loaded.end());
  }
  return event;
}

class Maker {
 public:
  explicit Maker(const State& state) : state_(state), now_(wall_now()) {}

  void add(const Change& change) {
    std::visit(overloaded{[&](const TaskChanged& task) { add(task); },
                          [&](const BatchEnded& batch) { put(BatchEvent{batch.id, submitter_of(batch.id)}); },
                          [&](const AgentChanged& agent) { put(AgentEvent{agent.agent, agent.from, agent.to}); },
                          [&](const TemperatureChanged& temperature) {
                            const Agent* agent = find(temperature.agent);
                            if (agent != nullptr && agent->temperature)
                              put(TemperatureEvent{temperature.agent, *agent->temperature});
                          },
                          [&](const LoadedModelsChanged& models) {
                            const Agent* agent = find(models.agent);
                            if (agent != nullptr) put(event_of(models, state_, *agent));
                          },
                          [](const OffersChanged&) {}, [](const ParametersLearned&) {}},
               change);
  }
  [[nodiscard]] std::vector<Event> take() { return std::move(events_); }

 private:
  void add(const TaskChanged& change) {
    const auto task = state_.tasks.find(change.id);
    if (task == state_.tasks.end()) return;
    const TaskRecord& record = task->second.record;
    if (ended(change.to) && record.batch) submitters_[*record.batch] = record.submitter;
    put(task_event(record, change.from, change.to, change.attempt));
  }
  // One of its tasks ended in the same commit.
  [[nodiscard]] std::string submitter_of(const BatchId& batch) const {
    const auto found = submitters_.find(batch);
    return found == submitters_.end() ? std::string() : found->second;
  }
  [[nodiscard]] const Agent* find(const AgentName& name) const {
    const auto found = state_.agent_index.find(name);
    return found == state_.agent_index.end() ? nullptr : &state_.agents[found->second];
  }
  template <typename What>
  void put(What what) {
    events_.push_back({now_, std::move(what)});
  }

  const State& state_;
  WallTime now_;
  std::vector<Event> events_;
  std::map<BatchId, std::string> submitters_;
};

}  // namespace

std::string EventId::str() const { return std::to_string(epoch) + "-" + std::to_string(number); }

std::optional<EventId> EventId::parse(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto epoch = number_in(text.substr(0, dash));
  const auto number = number_in(text.substr(dash + 1));
  if (!epoch || !number) return std::nullopt;
  return EventId{*epoch, *number};
}

// ---- listeners

Journal::Listener::Listener(Journal& journal, const std::optional<EventId>& since, Callback callback)
    : journal_(journal), callback_(std::move(callback)) {
  const std::lock_guard lock(journal.mutex_);
  if (!journal.records(monotonic_now())) {
    ++journal.last_;  // the number of what was not recorded
    journal.recording_ = true;
  }
  number_ = journal.last_;
  if (since) {
    gap_ = since->epoch != journal.epoch_ || since->number > journal.last_ || since->number + 1 < journal.oldest();
    if (!gap_) number_ = since->number;
  }
  journal.listeners_.push_back(this);
  called_ = true;
  callback_();
}

Journal::Listener::~Listener() {
  const std::lock_guard lock(journal_.mutex_);
  std::erase(journal_.listeners_, this);
  journal_.left_ = monotonic_now();
}

Journal::Listener::Taken Journal::Listener::take(std::size_t most) {
  const std::lock_guard lock(journal_.mutex_);
  Taken taken;
  if (number_ + 1 < journal_.oldest()) {
    gap_ = true;
    number_ = journal_.last_;
  }
  taken.gap = std::exchange(gap_, false);
  taken.since = {journal_.epoch_, number_};
  const auto& blocks = journal_.blocks_;
  auto at = std::ranges::partition_point(blocks, [&](const auto& block) { return block->after() <= number_ + 1; });
  for (std::size_t events = 0; at != blocks.end() && events < most; ++at) {
    events += (*at)->events.size();
    taken.blocks.push_back(*at);
    number_ = (*at)->after() - 1;
  }
  taken.last = {journal_.epoch_, number_};
  taken.more = at != blocks.end();
  taken.stopped = journal_.stopping_;
  called_ = taken.more;
  return taken;
}

std::size_t Journal::listeners() const {
  const std::lock_guard lock(mutex_);
  return listeners_.size();
}

// ---- recording

bool Journal::records(Time now) {
  if (recording_ && listeners_.empty() && now - left_ > kept) {
    recording_ = false;
    blocks_.clear();
    events_ = 0;
    bytes_ = 0;
  }
  return recording_;
}

void Journal::committed(const Changes& changes, const State& state) {
  {
    const std::lock_guard lock(mutex_);
    if (!records(monotonic_now())) return;
  }
  Maker maker(state);
  for (const Change& change : changes) maker.add(change);
  add(maker.take());
}

void Journal::add(std::vector<Event> events) {
  if (events.empty()) return;
  auto block = std::make_shared<Block>();
  block->events = std::move(events);
  for (const Event& event : block->events) block->bytes += bytes_of(event);
  const std::lock_guard lock(mutex_);
  block->first = last_ + 1;
  last_ = block->after() - 1;
  events_ += block->events.size();
  bytes_ += block->bytes;
  blocks_.push_back(std::move(block));
  trim();
  for (Listener* listener : listeners_) {
    if (!std::exchange(listener->called_, true)) listener->callback_();
  }
}

void Journal::trim() {
  while (blocks_.size() > 1 && (events_ > most_events || bytes_ > most_bytes)) {
    events_ -= blocks_.front()->events.size();
    bytes_ -= blocks_.front()->bytes;
    blocks_.pop_front();
  }
}

void Journal::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (Listener* listener : listeners_) listener->callback_();
}

}  // namespace edgefleet::coordinator::events
