// Notifies waiting requests that a task or a batch has its outcome, once the outcome is durable. A waiting request
// holds no thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "common/core/ids.hpp"
#include "coordinator/shell/after_commit.hpp"

namespace edgefleet::coordinator {

class Waiters final : public CommitListener {
 public:
  // Called once: the outcome is in the store, or the program stops. On the loop's thread: it must not block.
  using Callback = std::function<void()>;

  // Create the ticket first, then read the store: so no outcome in between is missed. Its destructor ends the wait.
  class Ticket {
   public:
    Ticket(Waiters& waiters, const Ulid& id, Callback callback);
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    Ticket(Ticket&&) = delete;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();

   private:
    Waiters& waiters_;
    Ulid id_;
    std::uint64_t number_ = 0;
  };

  void notify(const Ulid& id);
  void committed(const Changes& changes, const State& state) override;
  void stop();  // ends all waits, also those that begin later

 private:
  friend class Ticket;
  std::mutex mutex_;
  std::map<std::pair<Ulid, std::uint64_t>, Callback> waiting_;
  std::uint64_t last_ = 0;
  bool stopping_ = false;
};

}  // namespace edgefleet::coordinator
