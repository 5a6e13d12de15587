// Hands partial output to whoever listens to a task. It passes by the core: what is lost here is in the result.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/time.hpp"
#include "common/protocol/codec.hpp"

namespace edgefleet::coordinator {

struct Part {
  AgentName agent;  // who says so
  int attempt = 1;
  bool reasoning = false;
  std::uint64_t at = 0;  // byte offset in its channel
  std::string text;
};

class StreamHub {
 public:
  // A listener that is further behind gets nothing more: it takes the rest from the result.
  static constexpr std::size_t most_behind = 256 * 1024;

  class Listener {
   public:
    Listener(StreamHub& hub, const TaskId& task);
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    Listener(Listener&&) = delete;
    Listener& operator=(Listener&&) = delete;
    ~Listener();

    struct Heard {
      std::vector<Part> parts;
      bool ended = false;    // the task has its outcome, in the store
      bool stopped = false;  // the program stops
    };
    Heard wait_until(Time until);

   private:
    friend class StreamHub;
    struct Desk {
      std::condition_variable filled;
      std::vector<Part> parts;
      std::size_t bytes = 0;
      bool behind = false;
      bool ended = false;
    };
    StreamHub& hub_;
    TaskId task_;
    Desk desk_;
  };

  // Any thread.
  void publish(const AgentName& agent, const protocol::StreamMessage& message);
  void ended(const TaskId& task);
  void stop();
  [[nodiscard]] bool anybody() const;  // listens, to whatever

 private:
  mutable std::mutex mutex_;
  std::multimap<TaskId, Listener::Desk*> desks_;
  bool stopping_ = false;
};

}  // namespace edgefleet::coordinator
