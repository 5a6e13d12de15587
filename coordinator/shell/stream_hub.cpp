#include "coordinator/shell/stream_hub.hpp"

namespace edgefleet::coordinator {

StreamHub::Listener::Listener(StreamHub& hub, const TaskId& task) : hub_(hub), task_(task) {
  const std::lock_guard lock(hub_.mutex_);
  hub_.desks_.emplace(task_, &desk_);
}

StreamHub::Listener::~Listener() {
  const std::lock_guard lock(hub_.mutex_);
  auto [at, end] = hub_.desks_.equal_range(task_);
  while (at != end && at->second != &desk_) ++at;
  if (at != end) hub_.desks_.erase(at);
}

StreamHub::Listener::Heard StreamHub::Listener::wait_until(Time until) {
  std::unique_lock lock(hub_.mutex_);
  desk_.filled.wait_until(lock, std::chrono::steady_clock::time_point(until.time_since_epoch()),
                          [&] { return !desk_.parts.empty() || desk_.ended || hub_.stopping_; });
  Heard heard{std::move(desk_.parts), desk_.ended, hub_.stopping_};
  desk_.parts.clear();
  desk_.bytes = 0;
  return heard;
}

void StreamHub::publish(const AgentName& agent, const protocol::StreamMessage& message) {
  if (message.channel.empty()) return;  // a note for people
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = desks_.equal_range(message.id);
  for (auto at = begin; at != end; ++at) {
    Listener::Desk& desk = *at->second;
    desk.behind = desk.behind || desk.bytes + message.delta.size() > most_behind;
    if (desk.behind) continue;
    desk.bytes += message.delta.size();
    desk.parts.push_back({agent, message.attempt, message.channel == "reasoning", message.at, message.delta});
    desk.filled.notify_one();
  }
}

void StreamHub::ended(const TaskId& task) {
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = desks_.equal_range(task);
  for (auto at = begin; at != end; ++at) {
    at->second->ended = true;
    at->second->filled.notify_one();
  }
}

void StreamHub::stop() {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  for (const auto& [task, desk] : desks_) desk->filled.notify_one();
}

bool StreamHub::anybody() const {
  const std::lock_guard lock(mutex_);
  return !desks_.empty();
}

}  // namespace edgefleet::coordinator
