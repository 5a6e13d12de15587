// Chooses the next task and its executor: filter -> rank -> choose. Each class (capability and conditions) has a flow
// of each client, and within each class the executors that can serve it are sorted into buckets by load. So a decision
// looks at the head of one flow and at a few executors, however many there are of either. The same lists tell which
// agents are eligible and estimate how many tasks are ahead.
//
// Clients share an executor by deficit round robin over its flows: the client whose turn there ended longest ago is
// next, and its turn ends after as many tasks as its weight. Within a client the order is that of OrderKey. See ADR 16.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <ext/pb_ds/assoc_container.hpp>
#include <ext/pb_ds/tree_policy.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/task.hpp"
#include "common/core/where.hpp"
#include "coordinator/core/indices.hpp"

namespace edgefleet::coordinator {

// `accepted - priority x 60 s`, then the id: fixed when the task is submitted, so that no task starves.
struct OrderKey {
  std::int64_t order = 0;
  TaskId id;
  friend auto operator<=>(const OrderKey&, const OrderKey&) = default;
};

struct ClassKey {
  Capability capability;
  Where where;
  bool alone = false;  // only on an agent that holds no other task
  AgentName near{};  // next turns of conversations whose beginning this agent has read; empty: all other tasks
  friend auto operator<=>(const ClassKey&, const ClassKey&) = default;
};

// The run time of a capability on an executor: a moving average, and its number of runs (0: unknown).
struct Experience {
  double expected_ns = 0;
  int runs = 0;
};

using Labels = std::map<std::string, std::string>;

// An executor from the view of placement. Owned here, changed through `update`.
struct ExecutorView {
  AgentIndex agent = 0;
  AgentName agent_name;
  ExecutorInfo info;
  std::shared_ptr<const Labels> labels;  // of its agent, shared by its executors
  MachineSize size;  // of its agent
  bool open = false;  // its agent can be given tasks: online, not draining, not full
  bool reserved = false;  // its agent is reserved for a task that must run alone
  int slots = 0;  // at present
  int assigned = 0;  // attempts that have not ended
  int headroom = 0;  // degrees to the heat limit in steps of 5; more is better
  std::size_t most_loaded = 0;  // the most models loaded at the same time so far; 0: it has never reported one
  std::vector<Experience> experience;  // per capability of `info`
};

class Placement {
 public:
  static constexpr int most_prefetched = 128;
  static constexpr double prefetch_horizon_ns = 250e6;
  // Loading a model takes at least ten seconds on a Pi, and usually unloads another one. So a free slot where other
  // models are loaded is not given to a task (a) that has waited less than `load_patience`, if its model is loaded on
  // a working agent, (b) while another task is queued whose model is loaded there, and which is younger by at most
  // `seniority`: a loaded model counts as one step of priority, and no task waits longer than that because of it.
  // Longer values save little more: `./dev sim-llm`.
  static constexpr Duration load_patience = std::chrono::seconds(10);
  static constexpr Duration seniority = std::chrono::seconds(60);

  // ---- queue
  // An index is valid while a task is queued in its class: look it up again before each enqueue.
  ClassIndex class_of(const ClassKey& key);
  void enqueue(ClassIndex index, ClientIndex client, const OrderKey& key);
  bool dequeue(ClassIndex index, ClientIndex client, const OrderKey& key);
  // An estimate of the tasks of its class that are placed before it, if no others come: exact for the client's own.
  [[nodiscard]] std::size_t ahead(ClassIndex index, ClientIndex client, const OrderKey& key) const;
  // Tasks in one turn of this client, from its next one on: 1 if it is not set.
  void set_weight(ClientIndex client, int weight) { share_of(client).weight = std::max(1, weight); }
  // Forgets when the client had its last turn. False: it has a flow.
  bool forget(ClientIndex client);

  // ---- fleet
  ExecutorIndex add(ExecutorView view);
  void remove(ExecutorIndex index);
  [[nodiscard]] const ExecutorView& executor(ExecutorIndex index) const { return executors_.at(index).view; }
  // Changes an executor through `change(ExecutorView&)`, which must not change what the executor offers.
  template <typename Change>
  void update(ExecutorIndex index, Change change) {
    change(executors_.at(index).view);
    refresh(index);
  }
  // The executor was given a task with this model. Until it reports its loaded models, placement assumes that it loads
  // this one, and unloads the one that was loaded first if it has never had so many.
  void expect_loaded(ExecutorIndex index, const std::string& model);
  // Records the run time of one task.
  void learn(ExecutorIndex index, const Capability& capability, Duration run);

  // ---- choose
  struct Choice {
    OrderKey task;
    ExecutorIndex executor = 0;
  };
  struct Preferences {
    const AgentName* avoid = nullptr;  // the agent that ranks last for this task; null: none
    Time patient_until{};  // until then the task waits for an agent that has its model loaded
  };
  // The next task and its executor; none: no task waits, or no executor is free for those that wait. The task is
  // removed from its flow; the caller increments `assigned`. `about(task)` returns its Preferences. `idle` tells
  // whether an agent holds no task; it is called for tasks that must run alone.
  using Idle = std::function<bool(AgentIndex)>;
  template <typename About>
  std::optional<Choice> next(About about, const Idle& idle, Time now);
  // Considers again the classes that were put off because of a model: call it before the first `next` of a round.
  void reconsider();
  // The time at which a task that was put off no longer waits for its model.
  [[nodiscard]] std::optional<Time> wake() const { return wake_; }
  [[nodiscard]] bool put_off(ClassIndex index) const;

  struct QueueView {
    ClassKey key;
    std::size_t queued = 0;
  };
  [[nodiscard]] std::vector<QueueView> queues() const;
  // Classes with queued tasks that must run alone, sorted.
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
  // For a class with a model, the executors that have it loaded and a free slot come first; then all other free slots,
  // so that a task does not wait indefinitely for a model that is loaded nowhere; then the prefetch, again with the
  // executors that have it loaded first.
  static constexpr std::size_t buckets_of_class = 2 * levels;
  static constexpr std::size_t most_candidates = 8;  // of one bucket, for each decision
  static constexpr std::size_t most_heads = 8;  // of one class: the next clients, if the first one waits for its model
  static constexpr std::size_t most_idle_classes = 256;
  static constexpr std::size_t most_sampled = 64;  // flows, for an estimate

  // A number that grows with each turn. A client that has never had a turn has a smaller one than all that had.
  using Turn = std::uint64_t;
  static constexpr Turn first_turn = Turn{1} << 62U;
  using FlowIndex = std::uint32_t;
  static constexpr FlowIndex no_flow = ~FlowIndex{0};
  struct Flow {  // the tasks of one client in one class
    Tree tasks;
    ClassIndex in = 0;
    ClientIndex client = 0;
    Turn turn = 0;  // of its client, when an executor of this class last served it
    int left = 1;  // tasks until its turn ends
    std::optional<Time> passed_since;  // since then it is past its turn, because of models of other clients
  };
  struct Share {  // of one client
    Turn turn = 0;  // when its last one ended; 0: it has never had a task
    int weight = 1;
    std::uint32_t flows = 0;
  };

  struct Entry {  // an executor in a bucket of a class
    ExecutorIndex executor = 0;
    std::uint32_t membership = 0;
  };
  struct Ready {
    Turn turn = 0;
    OrderKey head;
    ClassIndex in = 0;
    friend auto operator<=>(const Ready&, const Ready&) = default;
  };
  struct Class {
    ClassKey key;
    std::set<std::pair<Turn, FlowIndex>> flows;  // an empty one stays if it is the only one
    FlowIndex latest = no_flow;  // that was looked up
    std::size_t queued = 0;
    std::array<std::vector<Entry>, buckets_of_class> buckets;
    std::uint32_t occupied = 0;  // bit per bucket
    std::size_t rotation = 0;
    std::vector<Entry> closed;  // members without capacity
    std::size_t open = 0;  // members in the buckets
    std::size_t holders = 0;  // working members that have its model loaded
    std::optional<Ready> ready;  // its entry in ready_
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
  void add_to_bucket(ExecutorIndex index, std::uint32_t membership, int level);
  void remove_from_bucket(ExecutorIndex index, std::uint32_t membership);
  static bool has_loaded(const ClassKey& key, const ExecutorView& view);
  static std::size_t bucket_index(const Membership& membership);
  void count_holder(const Executor& executor, const Membership& membership, int by);
  std::vector<Entry>& bucket_of(Class& in, const Membership& membership);
  void refresh(ExecutorIndex index);
  void make_ready(ClassIndex index);
  void unready(Class& in);
  void update_ready(ClassIndex index);
  void forget_idle_classes();
  void forget_class(ClassIndex index);
  [[nodiscard]] static bool fits(const Class& in, const Executor& executor, const Membership& membership);
  static bool better(const Executor& a, const Membership& am, const Executor& b, const Membership& bm);
  bool withheld(const Class& in, Flow& flow, const Executor& executor, Time patient_until, Time now);
  bool withheld_for_seniority(Flow& flow, const Executor& executor, Time now);
  struct Chosen {
    std::optional<ExecutorIndex> executor;
    bool put_off = false;  // an executor is free, but has other models loaded
  };
  enum class Fit { no, put_off, last_resort, yes };
  Fit fit(Flow& flow, const Executor& candidate, const Membership& membership, const Preferences& preferences,
          const Idle& idle, Time now);
  Chosen choose(Flow& flow, const Preferences& preferences, const Idle& idle, Time now);
  void wake_for(const Flow& flow, const Preferences& preferences, Time now);
  struct Found {
    FlowIndex flow = no_flow;
    ExecutorIndex executor = 0;
    bool put_off = false;
  };
  template <typename About>
  Found find(Class& in, About about, const Idle& idle, Time now);
  template <typename About>
  FlowIndex first_of_client(const Found& found, About about, const Idle& idle, Time now);

  // ---- flows and turns
  Share& share_of(ClientIndex client);
  [[nodiscard]] FlowIndex flow_of(ClassIndex index, ClientIndex client) const;
  FlowIndex add_flow(ClassIndex index, ClientIndex client);
  void remove_flow(FlowIndex index);
  void move_flow(FlowIndex index, Turn turn);
  void erase(FlowIndex index, const OrderKey& key);
  void settle(FlowIndex index);
  [[nodiscard]] const OrderKey& head(FlowIndex index) const { return *flows_[index]->tasks.begin(); }
  [[nodiscard]] bool waits(FlowIndex index) const { return index != no_flow && !flows_[index]->tasks.empty(); }
  [[nodiscard]] bool others_wait(ClassIndex index, ClientIndex client) const;
  void begin_sharing();
  void charge(FlowIndex index, ExecutorIndex by);
  void count_turn(FlowIndex index, Turn newest);
  void take(FlowIndex index, const OrderKey& key, ExecutorIndex by);

  std::vector<Class> classes_;
  std::vector<ClassIndex> free_classes_;
  std::map<ClassKey, ClassIndex> class_index_;
  std::vector<std::unique_ptr<Flow>> flows_;  // a tree cannot be moved
  std::vector<FlowIndex> free_flows_;
  std::unordered_map<std::uint64_t, FlowIndex> flow_index_;  // by class and client
  std::vector<Share> shares_;  // by client
  std::size_t known_ = 0;  // clients that had a task and have not been forgotten
  Turn newcomers_ = 0;
  Turn turns_ = first_turn;
  std::size_t idle_classes_ = 0;
  std::size_t queued_alone_ = 0;
  std::vector<Executor> executors_;
  std::vector<ExecutorIndex> free_executors_;
  std::map<Capability, std::vector<ExecutorIndex>> offering_;
  std::set<Ready> ready_;  // classes with tasks and perhaps a free executor
  std::vector<ClassIndex> put_off_;
  std::optional<Time> wake_;
};

// The first flow of the class that gets an executor. Those that wait for their models do not hold up the next ones.
template <typename About>
Placement::Found Placement::find(Class& in, About about, const Idle& idle, Time now) {
  Found found;
  std::size_t tried = 0;
  for (const auto& [turn, index] : in.flows) {
    if (++tried > most_heads) break;
    Flow& flow = *flows_[index];
    const Preferences preferences = about(head(index).id);
    const Chosen chosen = choose(flow, preferences, idle, now);
    if (chosen.executor) return {index, *chosen.executor, false};
    if (!chosen.put_off) break;  // no executor is free, for any of them
    found.put_off = true;
    wake_for(flow, preferences, now);
  }
  return found;
}

// The flow of the same client whose head is first among those that the executor can take. (Its flows may differ in
// turn: only those that the serving executor could have served are charged.)
template <typename About>
Placement::FlowIndex Placement::first_of_client(const Found& found, About about, const Idle& idle, Time now) {
  FlowIndex first = found.flow;
  const ClientIndex client = flows_[found.flow]->client;
  if (shares_[client].flows == 1) return first;
  const Executor& executor = executors_[found.executor];
  for (const Membership& m : executor.memberships) {
    const FlowIndex other = flow_of(m.in, client);
    if (!waits(other) || flows_[other]->turn <= flows_[found.flow]->turn || !(head(other) < head(first))) continue;
    if (fit(*flows_[other], executor, m, about(head(other).id), idle, now) == Fit::yes) first = other;
  }
  return first;
}

template <typename About>
std::optional<Placement::Choice> Placement::next(About about, const Idle& idle, Time now) {
  while (!ready_.empty()) {
    const ClassIndex index = ready_.begin()->in;
    Class& in = classes_[index];
    const Found found = find(in, about, idle, now);
    if (found.flow == no_flow) {
      unready(in);  // until one of its executors has room again
      if (found.put_off) put_off_.push_back(index);
      continue;
    }
    const FlowIndex flow = first_of_client(found, about, idle, now);
    const OrderKey task = head(flow);
    take(flow, task, found.executor);
    reconsider();  // the tasks that others were put off for may have been placed elsewhere
    return Choice{task, found.executor};
  }
  return std::nullopt;
}

}  // namespace edgefleet::coordinator
