// Lets threads wait for the outcome of a task or a batch: the loop tells when it is durable.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

#include "common/core/ids.hpp"
#include "common/core/time.hpp"

namespace edgefleet::coordinator {

class Waiters {
 public:
  // Register first, then look at the store, then wait: so nothing is missed in between.
  class Ticket {
   public:
    Ticket(Waiters& waiters, const Ulid& id);
    Ticket(const Ticket&) = delete;
    Ticket& operator=(const Ticket&) = delete;
    Ticket(Ticket&&) = delete;
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket();
    // True: it has ended. False: the time is over, or the program stops.
    bool wait_until(Time until);

   private:
    Waiters& waiters_;
    Ulid id_;
    struct Bell;
    friend class Waiters;
    std::shared_ptr<Bell> bell_;
  };

  void notify(const Ulid& id);
  void stop();  // all waits end, now and from now on

 private:
  std::mutex mutex_;
  std::map<Ulid, std::weak_ptr<Ticket::Bell>> bells_;
  bool stopping_ = false;
};

}  // namespace edgefleet::coordinator
