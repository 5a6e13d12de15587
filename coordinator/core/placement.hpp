// Which task goes where next: filter -> rank -> choose. Tasks queue per class (capability and conditions), executors
// lie in buckets by load within each class they can serve, so a decision looks at one queue's head and a handful of
// executors, however many there are of either. The same lists answer who is eligible and how many are ahead.
#pragma once

#include <algorithm>
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
#include "coordinator/core/indices.hpp"

namespace edgefleet::coordinator {

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
  AgentName near{};    // the next turns of conversations whose beginning this agent holds; empty: everybody else's
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
  int assigned = 0;           // attempts that have not ended
  int headroom = 0;           // degrees to the heat limit in steps of 5; more is better
  std::size_t most_loaded = 0;  // models at once, as far as was seen; 0: it has never named one
  std::vector<Experience> experience;  // per capability of `info`
};

class Placement {
 public:
  static constexpr int most_prefetched = 128;
  static constexpr double prefetch_horizon_ns = 250e6;
  // To load a model takes a Pi ten seconds and more, and mostly drives out another one. So a free slot where other
  // models are loaded is not given to a task (a) that has waited less than `load_patience`, if its model is loaded at
  // an agent that works, (b) while another one is queued whose model is loaded there, and which is not younger by more
  // than `seniority`: what is at hand counts as one step of priority, and nobody waits longer than that for its sake.
  // The values are where longer ones saved little more: `./dev sim-llm`.
  static constexpr Duration load_patience = std::chrono::seconds(10);
  static constexpr Duration seniority = std::chrono::seconds(60);

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
  // It was given a task with this model: until it says what it has loaded, suppose that it loads it, and forgets the
  // one it was given before if that is more than it has ever held.
  void expect_loaded(ExecutorIndex index, const std::string& model);
  // A run of `capability` took this long.
  void learn(ExecutorIndex index, const Capability& capability, Duration run);

  // ---- choose
  struct Choice {
    OrderKey task;
    ExecutorIndex executor = 0;
  };
  struct Asked {
    const AgentName* avoid = nullptr;  // an agent that ranks last for it, if any
    Time patient_until{};  // before it waits for an agent that has its model loaded
  };
  // The next task and the executor for it, or none: nothing waits, or nobody is free for what waits. The task is
  // taken from its queue; the caller raises `assigned`. `about(task)` -> Asked; `idle`: whether an agent holds nothing,
  // asked for tasks that must be alone.
  using Idle = std::function<bool(AgentIndex)>;
  template <typename About>
  std::optional<Choice> next(About about, const Idle& idle, Time now);
  // What was put off for a model's sake is looked at again: call it before the first `next` of a round.
  void reconsider();
  // When the patience of something that was put off ends.
  [[nodiscard]] std::optional<Time> wake() const { return wake_; }
  [[nodiscard]] bool put_off(ClassIndex index) const;

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
    std::size_t holders = 0;  // members that work and have its model loaded
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
    bool works = false;  // open, and has slots
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
  void count_holder(const Executor& executor, const Membership& membership, int by);
  std::vector<Seat>& seats_of(Class& in, const Membership& membership);
  void refresh(ExecutorIndex index);
  void make_ready(ClassIndex index);
  void unready(Class& in, ClassIndex index);
  void forget_idle_classes();
  void forget_class(ClassIndex index);
  [[nodiscard]] static bool fits(const Class& in, const Executor& executor, const Membership& membership);
  static bool better(const Executor& a, const Membership& am, const Executor& b, const Membership& bm);
  [[nodiscard]] bool kept(const Class& in, const Executor& executor, Time patient_until, Time now) const;
  struct Chosen {
    std::optional<ExecutorIndex> executor;
    bool put_off = false;  // somebody is free, but has other models loaded
  };
  Chosen choose(Class& in, const Asked& asked, const Idle& idle, Time now);

  std::vector<Class> classes_;
  std::vector<ClassIndex> free_classes_;
  std::map<ClassKey, ClassIndex> class_index_;
  std::size_t idle_classes_ = 0;
  std::size_t queued_alone_ = 0;
  std::vector<Executor> executors_;
  std::vector<ExecutorIndex> free_executors_;
  std::map<Capability, std::vector<ExecutorIndex>> offering_;
  std::set<std::pair<OrderKey, ClassIndex>> ready_;  // classes that have tasks and, for all we know, a free executor
  std::vector<ClassIndex> put_off_;
  std::optional<Time> wake_;
};

template <typename About>
std::optional<Placement::Choice> Placement::next(About about, const Idle& idle, Time now) {
  while (!ready_.empty()) {
    const auto [head, index] = *ready_.begin();
    Class& in = classes_[index];
    const Asked asked = about(head.id);
    const auto chosen = choose(in, asked, idle, now);
    if (!chosen.executor) {
      unready(in, index);  // until an executor of it has room again
      if (!chosen.put_off) continue;
      put_off_.push_back(index);
      if (now < asked.patient_until) wake_ = std::min(wake_.value_or(asked.patient_until), asked.patient_until);
      continue;
    }
    in.queue.erase(head);
    if (in.queue.empty()) ++idle_classes_;
    if (in.key.alone) --queued_alone_;
    unready(in, index);
    make_ready(index);
    reconsider();  // whom others were put off for may have gone elsewhere
    return Choice{head, *chosen.executor};
  }
  return std::nullopt;
}

}  // namespace edgefleet::coordinator
