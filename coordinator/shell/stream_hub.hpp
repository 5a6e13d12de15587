// Passes partial output to the listeners of a task, and keeps the progress of tasks that clients query. It bypasses the
// core: output that is lost here is in the result.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/time.hpp"
#include "common/protocol/codec.hpp"
#include "coordinator/core/answers.hpp"
#include "coordinator/shell/after_commit.hpp"

namespace edgefleet::coordinator {

class StreamHub final : public CommitListener {
 public:
  // A listener that is further behind receives no more parts: it takes the rest from the result.
  static constexpr std::size_t most_behind = 256 * 1024;

  // Receives the parts of one task from the agents of its attempts. It must exist before the first attempt is sent
  // (given()).
  class Listener {
   public:
    // There is something new to take. Called once for each take(), from any thread: it must not block, and must not
    // destroy the listener.
    using Callback = std::function<void()>;
    Listener(StreamHub& hub, const TaskId& task, Callback callback);
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;
    Listener(Listener&&) = delete;
    Listener& operator=(Listener&&) = delete;
    ~Listener();

    struct Heard {
      std::vector<Part> parts;
      bool ended = false;  // the outcome of the task is in the store
      bool stopped = false;  // the program stops
    };
    Heard take();

   private:
    friend class StreamHub;
    struct Desk {
      Callback callback;
      std::vector<Part> parts;
      std::size_t bytes = 0;
      bool behind = false;
      bool ended = false;
      bool called = false;  // since the last take()
      std::map<int, AgentName> given;  // attempt -> its agent, the only one whose parts are accepted
    };
    StreamHub& hub_;
    TaskId task_;
    Desk desk_;
  };

  // Progress is kept only for tasks that a client has queried recently: other tasks cost nothing, and messages for
  // unknown tasks take no memory. So the first answer for a task is always empty.
  static constexpr Duration progress_kept = std::chrono::minutes(1);  // since the last query
  static constexpr std::size_t most_watched = 10'000;
  // Any thread. Only the progress from the agent of the attempt counts.
  std::optional<TaskProgress> progress(const TaskId& task, const AgentName& agent, int attempt);

  // Streamed text that requests keep until they are answered, of all of them together. Any thread. False: there is no
  // room for that much more.
  static constexpr std::size_t most_kept = std::size_t{256} << 20U;
  bool keep(std::size_t bytes);
  void let_go(std::size_t bytes) { kept_ -= bytes; }

  // Any thread.
  void given(const TaskId& task, int attempt, const AgentName& agent);  // before the attempt is sent
  void publish(const AgentName& agent, const protocol::StreamMessage& message);
  void ended(const TaskId& task);
  void committed(const Changes& changes, const State& state) override;
  void stop();
  [[nodiscard]] bool anybody() const;  // whether there is any listener, or any watched task

 private:
  struct Watched {
    AgentName agent;
    int attempt = 0;
    Time asked;
    std::optional<TaskProgress> last;
  };
  static bool put(Listener::Desk& desk, Part part);
  static void call(Listener::Desk& desk);
  Watched* watch(const TaskId& task, Time now);
  void keep_progress(const AgentName& agent, const protocol::StreamMessage& message);

  std::atomic<std::size_t> kept_{0};
  mutable std::mutex mutex_;
  std::multimap<TaskId, Listener::Desk*> desks_;
  std::map<TaskId, Watched> watched_;
  Time last_asked_{};
  bool stopping_ = false;
};

}  // namespace edgefleet::coordinator
