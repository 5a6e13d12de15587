#include "edge-agent/executors/plugin/desk.hpp"

#include <algorithm>
#include <utility>

namespace edgefleet::agent {
namespace {
constexpr std::size_t most_progress = 64;  // not yet read by the run; older ones are dropped
}

PluginDesk::TicketPtr PluginDesk::open(const AttemptKey& key, const std::string& task_line,
                                       std::size_t most_output_bytes) {
  const std::lock_guard lock(mutex_);
  if (!up_ || tickets_.contains(key)) return nullptr;
  auto ticket = std::make_shared<Ticket>();
  ticket->key = key;
  ticket->most_output_bytes = most_output_bytes;
  tickets_.emplace(key, ticket);
  lines_ += task_line;
  wake_.signal();
  return ticket;
}

std::deque<Progress> PluginDesk::wait(Ticket& ticket, const std::stop_token& stop, Duration most) {
  std::unique_lock lock(mutex_);
  ticket.changed.wait_for(lock, stop, most, [&] { return ticket.result || !ticket.progress.empty(); });
  return std::exchange(ticket.progress, {});
}

std::optional<PluginResult> PluginDesk::result(const Ticket& ticket) const {
  const std::lock_guard lock(mutex_);
  return ticket.result;
}

void PluginDesk::cancel(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  if (!up_ || ticket.result) return;
  lines_ += cancel_line(ticket.key);
  wake_.signal();
}

void PluginDesk::give_up(Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  ticket.silent = true;
  wake_.signal();
}

void PluginDesk::close(const Ticket& ticket) {
  const std::lock_guard lock(mutex_);
  const auto it = tickets_.find(ticket.key);
  if (it != tickets_.end() && it->second.get() == &ticket) tickets_.erase(it);
}

void PluginDesk::set_up() {
  const std::lock_guard lock(mutex_);
  up_ = true;
}

void PluginDesk::set_down(const TaskError& why) {
  const std::lock_guard lock(mutex_);
  up_ = false;
  lines_.clear();
  for (const auto& [key, ticket] : tickets_) {
    if (!ticket->result) ticket->result = PluginResult{key, "null", why};
    ticket->changed.notify_all();
  }
  tickets_.clear();
}

std::string PluginDesk::take_lines() {
  const std::lock_guard lock(mutex_);
  return std::exchange(lines_, {});
}

std::size_t PluginDesk::longest_line() const {
  const std::lock_guard lock(mutex_);
  std::size_t most = 0;
  for (const auto& [key, ticket] : tickets_) most = std::max(most, ticket->most_output_bytes);
  return longest_plugin_line + most;
}

bool PluginDesk::to_be_killed() const {
  const std::lock_guard lock(mutex_);
  return std::any_of(tickets_.begin(), tickets_.end(),
                     [](const auto& entry) { return entry.second->silent && !entry.second->result; });
}

bool PluginDesk::deliver(PluginResult result) {
  const std::lock_guard lock(mutex_);
  const auto it = tickets_.find(result.key);
  if (it == tickets_.end() || it->second->result) return false;
  it->second->result = std::move(result);
  it->second->changed.notify_all();
  return true;
}

bool PluginDesk::deliver(PluginProgress progress) {
  const std::lock_guard lock(mutex_);
  const auto it = tickets_.find(progress.key);
  if (it == tickets_.end() || it->second->result) return false;
  auto& queue = it->second->progress;
  if (queue.size() == most_progress) queue.pop_front();
  queue.push_back(std::move(progress.progress));
  it->second->changed.notify_all();
  return true;
}

}  // namespace edgefleet::agent
