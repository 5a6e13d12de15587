// The latest events of this coordinator, numbered, for listeners that follow them at their own pace. A listener that
// falls behind misses events and is told so; it never holds anybody up. Nothing is recorded while nobody listens.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/core/time.hpp"
#include "coordinator/events/event.hpp"
#include "coordinator/shell/after_commit.hpp"

namespace edgefleet::coordinator::events {

// `epoch-number`, as the field `id` of an event has it: the epoch of the coordinator, and the number of the event.
struct EventId {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  [[nodiscard]] std::string str() const;
  static std::optional<EventId> parse(std::string_view text);
  friend bool operator==(const EventId&, const EventId&) = default;
};

// The events of one commit.
struct Block {
  std::uint64_t first = 1;  // the number of the first
  std::vector<Event> events;
  std::size_t bytes = 0;
  [[nodiscard]] std::uint64_t after() const { return first + events.size(); }
};

class Journal final : public CommitListener {
 public:
  // The newest commit is kept even if it is larger.
  static constexpr std::size_t most_events = 10'000;
  static constexpr std::size_t most_bytes = 8 * 1024 * 1024;
  static constexpr Duration kept = std::chrono::minutes(10);  // for listeners that return, since the last one left

  explicit Journal(std::uint64_t epoch) : epoch_(epoch) {}

  // One that follows the events. The journal outlives it.
  class Listener {
   public:
    // There is something to take. Called once for each take(), from any thread: it must not block, and must not destroy
    // the listener.
    using Callback = std::function<void()>;
    // Begins after `since`; none: now. An id of another epoch, or one that is too old, begins now with a gap.
    Listener(Journal& journal, const std::optional<EventId>& since, Callback callback);
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    Listener(Listener&&) = delete;
    Listener& operator=(Listener&&) = delete;
    ~Listener();

    struct Taken {
      bool gap = false;  // events are missing before these
      std::vector<std::shared_ptr<const Block>> blocks;
      EventId since;  // events of `blocks` with a smaller number, or this one, have been taken before
      EventId last;  // of `blocks`; without any: the newest
      bool more = false;  // there are more, without a further call
      bool stopped = false;  // the program stops
    };
    // Blocks until they have `most` events, or one block.
    Taken take(std::size_t most);

   private:
    friend class Journal;
    Journal& journal_;
    Callback callback_;
    std::uint64_t number_ = 0;  // of the last that was taken
    bool gap_ = false;
    bool called_ = false;  // since the last take()
  };

  void committed(const Changes& changes, const State& state) override;
  void stop();  // calls all listeners
  [[nodiscard]] std::size_t listeners() const;

 private:
  friend class Listener;
  [[nodiscard]] bool records(Time now);
  void add(std::vector<Event> events);
  void trim();
  [[nodiscard]] std::uint64_t oldest() const { return blocks_.empty() ? last_ + 1 : blocks_.front()->first; }

  const std::uint64_t epoch_;
  mutable std::mutex mutex_;
  std::deque<std::shared_ptr<const Block>> blocks_;  // without gaps: the numbers up to last_
  std::size_t events_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t last_ = 0;
  std::vector<Listener*> listeners_;
  bool recording_ = false;
  Time left_{};  // when the last listener left
  bool stopping_ = false;
};

}  // namespace edgefleet::coordinator::events
