#include "coordinator/shell/stream_hub.hpp"

#include <utility>

#include "common/system/clock.hpp"

namespace edgefleet::coordinator {

StreamHub::Listener::Listener(StreamHub& hub, const TaskId& task, Callback callback) : hub_(hub), task_(task) {
  desk_.callback = std::move(callback);
  const std::lock_guard lock(hub_.mutex_);
  hub_.desks_.emplace(task_, &desk_);
  if (hub_.stopping_) call(desk_);
}

StreamHub::Listener::~Listener() {
  const std::lock_guard lock(hub_.mutex_);
  auto [at, end] = hub_.desks_.equal_range(task_);
  while (at != end && at->second != &desk_) ++at;
  if (at != end) hub_.desks_.erase(at);
}

StreamHub::Listener::Heard StreamHub::Listener::take() {
  const std::lock_guard lock(hub_.mutex_);
  Heard heard{std::move(desk_.parts), desk_.ended, hub_.stopping_};
  desk_.parts.clear();
  desk_.bytes = 0;
  desk_.called = false;
  return heard;
}

bool StreamHub::keep(std::size_t bytes) {
  if (kept_.fetch_add(bytes) + bytes <= most_kept) return true;
  kept_ -= bytes;
  return false;
}

void StreamHub::call(Listener::Desk& desk) {
  if (!std::exchange(desk.called, true)) desk.callback();
}

void StreamHub::given(const TaskId& task, int attempt, const AgentName& agent) {
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = desks_.equal_range(task);
  for (auto at = begin; at != end; ++at) at->second->given[attempt] = agent;
}

void StreamHub::publish(const AgentName& agent, const protocol::StreamMessage& message) {
  const std::lock_guard lock(mutex_);
  if (message.channel == Channel::note) return keep_progress(agent, message);
  const auto [begin, end] = desks_.equal_range(message.id);
  for (auto at = begin; at != end; ++at) {
    Listener::Desk& desk = *at->second;
    const auto given = desk.given.find(message.attempt);
    if (given == desk.given.end() || given->second != agent) continue;
    if (put(desk, {agent, message.attempt, message.channel, message.at, message.delta})) call(desk);
  }
}

// A part that continues the last one is appended to it; any other part counts with its whole memory, because parts of
// one byte, or of none, would otherwise exceed the bound many times over. True: there is something new.
bool StreamHub::put(Listener::Desk& desk, Part part) {
  if (part.text.empty()) return false;
  Part* last = desk.parts.empty() ? nullptr : &desk.parts.back();
  const bool continues = last != nullptr && last->agent == part.agent && last->attempt == part.attempt &&
                         last->channel == part.channel && last->at + last->text.size() == part.at;
  const std::size_t bytes = part.text.size() + (continues || last == nullptr ? 0 : sizeof(Part));
  desk.behind = desk.behind || desk.bytes + bytes > most_behind;
  if (desk.behind) return false;
  desk.bytes += bytes;
  if (continues) {
    last->text += part.text;
  } else {
    desk.parts.push_back(std::move(part));
  }
  return true;
}

void StreamHub::keep_progress(const AgentName& agent, const protocol::StreamMessage& message) {
  const auto found = watched_.find(message.id);
  if (found == watched_.end() || found->second.agent != agent || found->second.attempt != message.attempt) return;
  found->second.last =
      TaskProgress{message.delta, message.percent, message.completed_bytes, message.total_bytes, monotonic_now()};
}

// nullptr: too many tasks are watched already.
StreamHub::Watched* StreamHub::watch(const TaskId& task, Time now) {
  const auto found = watched_.find(task);
  if (found != watched_.end()) return &found->second;
  if (watched_.size() >= most_watched) {
    std::erase_if(watched_, [&](const auto& one) { return now - one.second.asked > progress_kept; });
    if (watched_.size() >= most_watched) return nullptr;
  }
  return &watched_[task];
}

std::optional<TaskProgress> StreamHub::progress(const TaskId& task, const AgentName& agent, int attempt) {
  const Time now = monotonic_now();
  const std::lock_guard lock(mutex_);
  if (now - last_asked_ > progress_kept) watched_.clear();
  last_asked_ = now;
  Watched* watched = watch(task, now);
  if (watched == nullptr) return std::nullopt;
  const bool same = watched->agent == agent && watched->attempt == attempt;
  *watched = {agent, attempt, now, same ? std::move(watched->last) : std::nullopt};
  return watched->last;
}

void StreamHub::ended(const TaskId& task) {
  const std::lock_guard lock(mutex_);
  watched_.erase(task);
  const auto [begin, end] = desks_.equal_range(task);
  for (auto at = begin; at != end; ++at) {
    at->second->ended = true;
    call(*at->second);
  }
}

void StreamHub::committed(const Changes& changes, const State&) {
  for_each_ended(changes, [this](const TaskId& task) { ended(task); }, [](const BatchId&) {});
}

void StreamHub::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (const auto& [task, desk] : desks_) call(*desk);
}

bool StreamHub::anybody() const {
  const std::lock_guard lock(mutex_);
  return !desks_.empty() || (!watched_.empty() && monotonic_now() - last_asked_ <= progress_kept);
}

}  // namespace edgefleet::coordinator
