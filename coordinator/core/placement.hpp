// Which task goes where next: filter -> rank -> choose. Tasks queue per class (capability and conditions), executors
// lie in buckets by load within each class they can serve, so a decision looks at one queue's head and a handful of
// executors, however many there are of either. The same lists answer who is eligible and how many are ahead.
#pragma once

#include <array>
#include <cstdint>
#include <ext/pb_ds/assoc_container.hpp>
#include <ext/pb_ds/tree_policy.hpp>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"

namespace edgefleet::coordinator {

using AgentIndex = std::uint32_t;
using ExecutorIndex = std::uint32_t;
using ClassIndex = std::uint32_t;

// `accepted - priority x 60 s`, then the id: fixed at submit, which is why nothing starves.
struct OrderKey {
  std::int64_t order = 0;
  TaskId id;
  friend auto operator<=>(const OrderKey&, const OrderKey&) = default;
};

struct ClassKey {
  Capability capability;
  Where where;
  bool alone = false;  // only on an agent that holds nothing else
  friend auto operator<=>(const ClassKey&, const ClassKey&) = default;
};

// How long a capability takes on an executor: a moving average, and from how many runs (0: unknown).
struct Experience {
  double expected_ns = 0;
  int runs = 0;
};

// An executor as placement sees it. Owned here, changed through `update`.
struct ExecutorView {
  AgentIndex agent = 0;
  AgentName agent_name;
  ExecutorInfo info;
  std::map<std::string, std::string> labels;  // of its agent
  bool open = false;          // online, not draining, not full: may be given tasks
  bool reserved = false;      // its agent is kept for a task that must be alone
  int slots = 0;              // as they are now
  int held = 0;               // assigned and not ended
  int headroom = 0;           // degrees to the heat limit in steps of 5; more is better
  std::vector<Experience> experience;  // per capability of `info`
};

class Placement {
 public:
  static constexpr int most_prefetched = 128;
  static constexpr double prefetch_horizon_ns = 250e6;

  // ---- queue
  // An index is good for as long as something is queued in its class: look it up again before each enqueue.
  ClassIndex class_of(const ClassKey& key);
  void enqueue(ClassIndex index, const OrderKey& key);
  bool dequeue(ClassIndex index, const OrderKey& key);
  [[nodiscard]] std::size_t ahead(ClassIndex index, const OrderKey& key) const;

  // ---- fleet
  ExecutorIndex add(ExecutorView view);
  void remove(ExecutorIndex index);
  [[nodiscard]] const ExecutorView& executor(ExecutorIndex index) const { return executors_.at(index).view; }
  // Changes an executor through `change(ExecutorView&)`; what it may offer must stay the same.
  template <typename Change>
  void update(ExecutorIndex index, Change change) {
    change(executors_.at(index).view);
    refresh(index);
  }
  // A run of `capability` took this long.
  void learn(ExecutorIndex index, const Capability& capability, Duration run);

  // ---- choose
  struct Choice {
    OrderKey task;
    ExecutorIndex executor = 0;
  };
  // The next task and the executor for it, or none: nothing waits, or nobody is free for what waits. The task is
  // taken from its queue; the caller raises `held`. `avoid(task)`: an agent that ranks last for it, if any; `idle`:
  // whether an agent holds nothing, asked for tasks that must be alone.
  using Idle = std::function<bool(AgentIndex)>;
  template <typename Avoid>
  std::optional<Choice> next(Avoid avoid, const Idle& idle);

  struct QueueView {
    ClassKey key;
    std::size_t queued = 0;
  };
  [[nodiscard]] std::vector<QueueView> queues() const;
  // Classes in which tasks wait that must be alone, sorted.
  [[nodiscard]] std::vector<ClassIndex> waiting_alone() const;
  // Executors that offer this class's capability and meet its conditions, whatever their state.
  [[nodiscard]] std::vector<ExecutorIndex> members(ClassIndex index) const;
  [[nodiscard]] const ClassKey& key(ClassIndex index) const { return classes_.at(index).key; }
  [[nodiscard]] std::vector<ExecutorIndex> offering(const Capability& capability) const;
  // One condition of a `where`.
  static bool meets(const ExecutorView& view, const std::string& name, const std::string& wanted);

 private:
  using Tree = __gnu_pbds::tree<OrderKey, __gnu_pbds::null_type, std::less<>, __gnu_pbds::rb_tree_tag,
                                __gnu_pbds::tree_order_statistics_node_update>;
  static constexpr std::size_t levels = 16;  // 0-7: share of slots in use; 8-15: share of the prefetch in use
  // Of a class with a model those that have it loaded come first, as long as a slot of theirs is free; then anybody's
  // free slot, so that no model waits for ever because it is loaded nowhere; then the prefetch, again loaded first.
  static constexpr std::size_t buckets_of_class = 2 * levels;
  static constexpr std::size_t looked_at = 8;
  static constexpr std::size_t most_idle_classes = 256;

  struct Seat {  // where an executor sits in a class
    ExecutorIndex executor = 0;
    std::uint32_t membership = 0;
  };
  struct Class {
    ClassKey key;
    Tree queue;
    std::array<std::vector<Seat>, buckets_of_class> buckets;
    std::uint32_t occupied = 0;  // bit per bucket
    std::size_t turn = 0;
    std::vector<Seat> closed;  // members without capacity
    std::size_t open = 0;  // members in the buckets
    std::optional<OrderKey> ready;  // its entry in ready_
    bool used = false;
  };
  static constexpr int closed_level = -1;
  struct Membership {
    ClassIndex in = 0;
    int level = closed_level;
    std::uint32_t position = 0;
    std::uint32_t capability = 0;  // index into info.capabilities
    bool loaded = true;  // the class's model, if it has one
  };
  struct Executor {
    ExecutorView view;
    std::vector<Membership> memberships;
    int level = closed_level;
    bool used = false;
  };

  static int level_of(const ExecutorView& view);
  static int prefetch(const ExecutorView& view, const Experience& experience);
  static int prefetch_most(const ExecutorView& view);
  static bool matches(const ClassKey& key, const ExecutorView& view, std::uint32_t& capability);
  void join(ClassIndex in, ExecutorIndex index, std::uint32_t capability);
  void leave(ExecutorIndex index, std::size_t membership);
  void sit(ExecutorIndex index, std::uint32_t membership, int level);
  void stand_up(ExecutorIndex index, std::uint32_t membership);
  static bool has_loaded(const ClassKey& key, const ExecutorView& view);
  static std::size_t bucket_of(const Membership& membership);
  std::vector<Seat>& seats_of(Class& in, const Membership& membership);
  void refresh(ExecutorIndex index);
  void make_ready(ClassIndex index);
  void unready(Class& in, ClassIndex index);
  void forget_idle_classes();
  void forget_class(ClassIndex index);
  [[nodiscard]] static bool fits(const Class& in, const Executor& executor, const Membership& membership);
  static bool better(const Executor& a, const Membership& am, const Executor& b, const Membership& bm);
  std::optional<ExecutorIndex> choose(Class& in, const AgentName* avoid, const Idle& idle);

  std::vector<Class> classes_;
  std::vector<ClassIndex> free_classes_;
  std::map<ClassKey, ClassIndex> class_index_;
  std::size_t idle_classes_ = 0;
  std::size_t queued_alone_ = 0;
  std::vector<Executor> executors_;
  std::vector<ExecutorIndex> free_executors_;
  std::map<Capability, std::vector<ExecutorIndex>> offering_;
  std::set<std::pair<OrderKey, ClassIndex>> ready_;  // classes that have tasks and, for all we know, a free executor
};

template <typename Avoid>
std::optional<Placement::Choice> Placement::next(Avoid avoid, const Idle& idle) {
  while (!ready_.empty()) {
    const auto [head, index] = *ready_.begin();
    Class& in = classes_[index];
    const auto chosen = choose(in, avoid(head.id), idle);
    if (!chosen) {
      unready(in, index);  // until an executor of it has room again
      continue;
    }
    in.queue.erase(head);
    if (in.queue.empty()) ++idle_classes_;
    if (in.key.alone) --queued_alone_;
    unready(in, index);
    make_ready(index);
    return Choice{head, *chosen};
  }
  return std::nullopt;
}

}  // namespace edgefleet::coordinator
