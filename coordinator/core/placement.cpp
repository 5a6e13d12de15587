#include "coordinator/core/placement.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "common/core/listed_model.hpp"

namespace edgefleet::coordinator {

// ---- queue

ClassIndex Placement::class_of(const ClassKey& key) {
  if (const auto found = class_index_.find(key); found != class_index_.end()) return found->second;
  forget_idle_classes();
  ClassIndex index = 0;
  if (free_classes_.empty()) {
    index = static_cast<ClassIndex>(classes_.size());
    classes_.emplace_back();
  } else {
    index = free_classes_.back();
    free_classes_.pop_back();
  }
  class_index_.emplace(key, index);
  classes_[index].key = key;
  classes_[index].used = true;
  ++idle_classes_;
  const auto offered = offering_.find(key.capability);
  if (offered == offering_.end()) return index;
  for (const ExecutorIndex executor : offered->second) {
    std::uint32_t at = 0;
    if (matches(classes_[index].key, executors_[executor].view, at)) join(index, executor, at);
  }
  return index;
}

void Placement::enqueue(ClassIndex index, ClientIndex client, const OrderKey& key) {
  FlowIndex at = flow_of(index, client);
  if (at == no_flow) at = add_flow(index, client);
  Flow& flow = *flows_[at];
  if (flow.tasks.empty()) move_flow(at, shares_[client].turn);
  flow.tasks.insert(key);
  Class& in = classes_[index];
  in.latest = at;
  if (in.queued++ == 0) --idle_classes_;
  if (in.key.alone) ++queued_alone_;
  update_ready(index);
}

bool Placement::dequeue(ClassIndex index, ClientIndex client, const OrderKey& key) {
  const FlowIndex at = flow_of(index, client);
  if (at == no_flow || flows_[at]->tasks.find(key) == flows_[at]->tasks.end()) return false;
  erase(at, key);
  settle(at);
  if (classes_[index].ready) update_ready(index);
  return true;
}

// Until the task has its turn, each other client has about as many turns as the client's own tasks before it.
std::size_t Placement::ahead(ClassIndex index, ClientIndex client, const OrderKey& key) const {
  const FlowIndex at = flow_of(index, client);
  if (at == no_flow) return 0;
  const Flow& flow = *flows_[at];
  const std::size_t own = flow.tasks.order_of_key(key);
  const std::size_t others = classes_[index].flows.size() - 1;
  std::size_t sampled = 0;
  std::size_t before = 0;
  for (const auto& [turn, other] : classes_[index].flows) {
    if (other == at) continue;
    const Flow& one = *flows_[other];
    const auto weight = static_cast<std::size_t>(shares_[one.client].weight);
    const std::size_t now = turn < flow.turn ? static_cast<std::size_t>(one.left) : 0;
    before += std::min(one.tasks.size(), own * weight / static_cast<std::size_t>(shares_[client].weight) + now);
    if (++sampled == most_sampled) break;
  }
  return own + (sampled == 0 ? 0 : before * others / sampled);
}

void Placement::make_ready(ClassIndex index) {
  Class& in = classes_[index];
  if (in.ready || in.queued == 0 || in.occupied == 0) return;
  const auto& [turn, flow] = *in.flows.begin();
  in.ready = Ready{turn, head(flow), index};
  ready_.insert(*in.ready);
}

void Placement::unready(Class& in) {
  if (!in.ready) return;
  ready_.erase(*in.ready);
  in.ready.reset();
}

// Its entry keeps its memory: this is done for every task.
void Placement::update_ready(ClassIndex index) {
  Class& in = classes_[index];
  if (!in.ready) return make_ready(index);
  if (in.queued == 0) return unready(in);
  const auto& [turn, flow] = *in.flows.begin();
  const Ready now{turn, head(flow), index};
  if (now == *in.ready) return;
  auto entry = ready_.extract(*in.ready);
  entry.value() = now;
  ready_.insert(std::move(entry));
  in.ready = now;
}

// ---- flows and turns

namespace {

std::uint64_t flow_key(ClassIndex index, ClientIndex client) { return std::uint64_t{index} << 32U | client; }

}  // namespace

Placement::Share& Placement::share_of(ClientIndex client) {
  if (client >= shares_.size()) shares_.resize(client + std::size_t{1});
  return shares_[client];
}

bool Placement::forget(ClientIndex client) {
  Share& share = share_of(client);
  if (share.flows > 0) return false;
  if (share.turn > 0) --known_;
  share = Share{};
  return true;
}

Placement::FlowIndex Placement::flow_of(ClassIndex index, ClientIndex client) const {
  const Class& in = classes_.at(index);
  if (in.latest != no_flow && flows_[in.latest]->client == client) return in.latest;
  if (in.flows.size() < 2) {
    const bool found = !in.flows.empty() && flows_[in.flows.begin()->second]->client == client;
    return found ? in.flows.begin()->second : no_flow;
  }
  const auto found = flow_index_.find(flow_key(index, client));
  return found == flow_index_.end() ? no_flow : found->second;
}

Placement::FlowIndex Placement::add_flow(ClassIndex index, ClientIndex client) {
  Class& in = classes_[index];
  if (in.queued == 0 && !in.flows.empty()) remove_flow(in.flows.begin()->second);
  if (free_flows_.empty()) {
    free_flows_.push_back(static_cast<FlowIndex>(flows_.size()));
    flows_.push_back(std::make_unique<Flow>());
  }
  const FlowIndex at = free_flows_.back();
  free_flows_.pop_back();
  Share& share = share_of(client);
  if (share.turn == 0) {
    if (++known_ == 2) begin_sharing();
    share.turn = ++newcomers_;
  }
  ++share.flows;
  Flow& flow = *flows_[at];
  flow.in = index;
  flow.client = client;
  flow.turn = share.turn;
  flow.left = share.weight;
  in.flows.emplace(flow.turn, at);
  flow_index_.emplace(flow_key(index, client), at);
  return at;
}

void Placement::remove_flow(FlowIndex index) {
  Flow& flow = *flows_[index];
  Class& in = classes_[flow.in];
  in.flows.erase({flow.turn, index});
  if (in.latest == index) in.latest = no_flow;
  flow_index_.erase(flow_key(flow.in, flow.client));
  --shares_[flow.client].flows;
  free_flows_.push_back(index);
}

void Placement::move_flow(FlowIndex index, Turn turn) {
  Flow& flow = *flows_[index];
  if (flow.turn == turn) return;
  Class& in = classes_[flow.in];
  auto entry = in.flows.extract({flow.turn, index});
  flow.turn = turn;
  entry.value().first = turn;
  in.flows.insert(in.flows.end(), std::move(entry));
}

void Placement::erase(FlowIndex index, const OrderKey& key) {
  Flow& flow = *flows_[index];
  Class& in = classes_[flow.in];
  flow.tasks.erase(key);
  if (--in.queued == 0) ++idle_classes_;
  if (in.key.alone) --queued_alone_;
}

// A client that has nothing left has ended its turn, also if it might have had more tasks in it: nobody gains by coming
// back. The only flow of a class stays, because most clients come one task at a time.
void Placement::settle(FlowIndex index) {
  Flow& flow = *flows_[index];
  if (!flow.tasks.empty()) return;
  Share& share = shares_[flow.client];
  if (flow.left < share.weight) share.turn = ++turns_;
  flow.left = share.weight;
  flow.passed_since.reset();
  if (classes_[flow.in].flows.size() > 1) remove_flow(index);
}

bool Placement::others_wait(ClassIndex index, ClientIndex client) const {
  const auto& flows = classes_[index].flows;
  if (flows.size() != 1) return flows.size() > 1;
  const Flow& only = *flows_[flows.begin()->second];
  return only.client != client && !only.tasks.empty();
}

// While there is one client only, no turn is counted, and the order of its tasks alone decides. The others' first tasks
// come before its next one.
void Placement::begin_sharing() {
  ++turns_;
  for (const auto& [key, index] : flow_index_) {
    shares_[flows_[index]->client].turn = turns_;
    move_flow(index, turns_);
    if (classes_[flows_[index]->in].ready) update_ready(flows_[index]->in);
  }
}

// A task counts in all flows of its client that this executor could have served: a client does not gain by spreading
// its tasks over several classes, and does not lose by what it gets from other executors.
void Placement::charge(FlowIndex index, ExecutorIndex by) {
  if (known_ < 2) return;
  const ClientIndex client = flows_[index]->client;
  ++turns_;
  if (shares_[client].flows == 1) return count_turn(index, turns_);
  for (const Membership& m : executors_[by].memberships) {
    const FlowIndex one = flow_of(m.in, client);
    if (one == no_flow) continue;
    count_turn(one, turns_);
    if (one != index && classes_[m.in].ready) update_ready(m.in);
  }
}

void Placement::count_turn(FlowIndex index, Turn newest) {
  Flow& flow = *flows_[index];
  if (--flow.left > 0) return;
  Share& share = shares_[flow.client];
  flow.left = share.weight;
  share.turn = newest;
  move_flow(index, newest);
}

void Placement::take(FlowIndex index, const OrderKey& key, ExecutorIndex by) {
  const ClassIndex in = flows_[index]->in;
  flows_[index]->passed_since.reset();
  erase(index, key);
  charge(index, by);
  settle(index);
  update_ready(in);
}

// Classes depend on the submitted tasks. Up to `most_idle_classes` without a task are kept, because creating one looks
// at every executor that offers the capability.
void Placement::forget_idle_classes() {
  if (idle_classes_ <= most_idle_classes) return;
  for (ClassIndex index = 0; index < classes_.size(); ++index) {
    if (classes_[index].used && classes_[index].queued == 0) forget_class(index);
  }
}

void Placement::forget_class(ClassIndex index) {
  for (const ExecutorIndex executor : members(index)) {
    auto& memberships = executors_[executor].memberships;
    for (std::size_t i = 0; i < memberships.size(); ++i) {
      if (memberships[i].in == index) {
        leave(executor, i);
        break;
      }
    }
  }
  if (!classes_[index].flows.empty()) remove_flow(classes_[index].flows.begin()->second);
  class_index_.erase(classes_[index].key);
  classes_[index] = Class{};
  free_classes_.push_back(index);
  --idle_classes_;
}

// ---- fleet

ExecutorIndex Placement::add(ExecutorView view) {
  ExecutorIndex index = 0;
  if (free_executors_.empty()) {
    index = static_cast<ExecutorIndex>(executors_.size());
    executors_.emplace_back();
  } else {
    index = free_executors_.back();
    free_executors_.pop_back();
  }
  view.experience.resize(view.info.capabilities.size());
  executors_[index] = Executor{std::move(view), {}, closed_level, false, true};
  for (const auto& capability : executors_[index].view.info.capabilities) offering_[capability].push_back(index);
  for (ClassIndex in = 0; in < classes_.size(); ++in) {
    std::uint32_t at = 0;
    if (classes_[in].used && matches(classes_[in].key, executors_[index].view, at)) join(in, index, at);
  }
  refresh(index);
  return index;
}

void Placement::remove(ExecutorIndex index) {
  Executor& executor = executors_[index];
  while (!executor.memberships.empty()) leave(index, executor.memberships.size() - 1);
  for (const auto& capability : executor.view.info.capabilities) {
    auto& list = offering_[capability];
    list.erase(std::remove(list.begin(), list.end(), index), list.end());
    if (list.empty()) offering_.erase(capability);
  }
  executor = Executor{};
  free_executors_.push_back(index);
}

void Placement::learn(ExecutorIndex index, const Capability& capability, Duration run) {
  constexpr double weight = 0.2;
  ExecutorView& view = executors_.at(index).view;
  for (std::size_t i = 0; i < view.info.capabilities.size(); ++i) {
    if (view.info.capabilities[i] != capability) continue;
    const double ns = std::max(1.0, static_cast<double>(run.count()));
    Experience& known = view.experience[i];
    known.expected_ns = known.runs == 0 ? ns : known.expected_ns + weight * (ns - known.expected_ns);
    known.runs = std::min(known.runs + 1, most_prefetched);
  }
}

// How many tasks may wait at an executor beyond its slots: those that it is expected to finish within the horizon, and
// at most as many as it has finished so far, so that the first executor to answer does not get all tasks.
int Placement::prefetch(const ExecutorView& view, const Experience& experience) {
  if (experience.runs == 0 || view.slots == 0) return 0;
  return static_cast<int>(std::min<double>(experience.runs, prefetch_horizon_ns / experience.expected_ns * view.slots));
}

int Placement::prefetch_most(const ExecutorView& view) {
  int most = 0;
  for (const Experience& known : view.experience) most = std::max(most, prefetch(view, known));
  return most;
}

int Placement::level_of(const ExecutorView& view) {
  constexpr int half = static_cast<int>(levels) / 2;
  if (!view.open) return closed_level;
  if (view.assigned < view.slots) return view.assigned * half / view.slots;
  const int beyond = prefetch_most(view);
  if (view.assigned >= view.slots + beyond) return closed_level;
  return half + (view.assigned - view.slots) * half / beyond;
}

bool Placement::meets(const ExecutorView& view, const std::string& name, const std::string& wanted) {
  if (name == "agent") return view.agent_name.str() == wanted;
  if (name == "model") return listed_model(view.info.models, view.info.provider, wanted) != nullptr;
  if (const auto size = size_named(name, view.size)) {
    const auto condition = parse_size_condition(wanted);
    return condition && edgefleet::meets(*condition, *size);
  }
  if (view.labels == nullptr) return false;
  const auto label = view.labels->find(name);
  return label != view.labels->end() && label->second == wanted;
}

bool Placement::matches(const ClassKey& key, const ExecutorView& view, std::uint32_t& capability) {
  const auto& offered = view.info.capabilities;
  const auto found = std::find(offered.begin(), offered.end(), key.capability);
  if (found == offered.end()) return false;
  if (!key.near.empty() && key.near != view.agent_name) return false;
  capability = static_cast<std::uint32_t>(found - offered.begin());
  return std::all_of(key.where.begin(), key.where.end(),
                     [&](const auto& condition) { return meets(view, condition.first, condition.second); });
}

bool Placement::has_loaded(const ClassKey& key, const ExecutorView& view) {
  const auto model = key.where.find("model");
  return model == key.where.end() ||
         listed_model(view.info.loaded_models, view.info.provider, model->second) != nullptr;
}

std::size_t Placement::bucket_index(const Membership& membership) {
  constexpr std::size_t half = levels / 2;
  const auto level = static_cast<std::size_t>(membership.level);
  return level / half * levels + (membership.loaded ? 0 : half) + level % half;
}

std::vector<Placement::Entry>& Placement::bucket_of(Class& in, const Membership& membership) {
  return membership.level == closed_level ? in.closed : in.buckets.at(bucket_index(membership));
}

void Placement::count_holder(const Executor& executor, const Membership& membership, int by) {
  if (executor.works && membership.loaded) classes_[membership.in].holders += static_cast<std::size_t>(by);
}

void Placement::add_to_bucket(ExecutorIndex index, std::uint32_t membership, int level) {
  Membership& m = executors_[index].memberships[membership];
  Class& in = classes_[m.in];
  m.level = level;
  auto& bucket = bucket_of(in, m);
  m.position = static_cast<std::uint32_t>(bucket.size());
  bucket.push_back(Entry{index, membership});
  if (level == closed_level) return;
  in.occupied |= 1U << static_cast<unsigned>(bucket_index(m));
  ++in.open;
}

void Placement::remove_from_bucket(ExecutorIndex index, std::uint32_t membership) {
  const Membership m = executors_[index].memberships[membership];
  Class& in = classes_[m.in];
  auto& bucket = bucket_of(in, m);
  const Entry last = bucket.back();
  bucket[m.position] = last;
  executors_[last.executor].memberships[last.membership].position = m.position;
  bucket.pop_back();
  if (m.level == closed_level) return;
  --in.open;
  if (bucket.empty()) in.occupied &= ~(1U << static_cast<unsigned>(bucket_index(m)));
}

void Placement::expect_loaded(ExecutorIndex index, const std::string& model) {
  Executor& executor = executors_[index];
  auto& loaded = executor.view.info.loaded_models;
  const ExecutorInfo& info = executor.view.info;
  if (executor.view.most_loaded == 0 || listed_model(loaded, info.provider, model) != nullptr) return;
  const auto* name = listed_model(info.models, info.provider, model);
  loaded.push_back(name == nullptr ? model : *name);
  if (loaded.size() > executor.view.most_loaded) loaded.erase(loaded.begin());
  for (std::uint32_t i = 0; i < executor.memberships.size(); ++i) {
    count_holder(executor, executor.memberships[i], -1);
    remove_from_bucket(index, i);
    Membership& m = executor.memberships[i];
    m.loaded = has_loaded(classes_[m.in].key, executor.view);
    count_holder(executor, m, 1);
    add_to_bucket(index, i, executor.level);
  }
}

void Placement::join(ClassIndex in, ExecutorIndex index, std::uint32_t capability) {
  auto& memberships = executors_[index].memberships;
  const bool loaded = has_loaded(classes_[in].key, executors_[index].view);
  memberships.push_back(Membership{in, closed_level, 0, capability, loaded});
  count_holder(executors_[index], memberships.back(), 1);
  add_to_bucket(index, static_cast<std::uint32_t>(memberships.size() - 1), executors_[index].level);
}

// The last membership moves to the position of the removed one.
void Placement::leave(ExecutorIndex index, std::size_t membership) {
  auto& memberships = executors_[index].memberships;
  count_holder(executors_[index], memberships[membership], -1);
  remove_from_bucket(index, static_cast<std::uint32_t>(membership));
  if (membership + 1 < memberships.size()) {
    memberships[membership] = memberships.back();
    const Membership& moved = memberships[membership];
    bucket_of(classes_[moved.in], moved)[moved.position].membership = static_cast<std::uint32_t>(membership);
  }
  memberships.pop_back();
}

void Placement::refresh(ExecutorIndex index) {
  Executor& executor = executors_[index];
  const int level = level_of(executor.view);
  if (const bool works = executor.view.open && executor.view.slots > 0; works != executor.works) {
    for (const Membership& m : executor.memberships) count_holder(executor, m, -1);
    executor.works = works;
    for (const Membership& m : executor.memberships) count_holder(executor, m, 1);
  }
  if (level != executor.level) {
    executor.level = level;
    for (std::uint32_t i = 0; i < executor.memberships.size(); ++i) {
      remove_from_bucket(index, i);
      add_to_bucket(index, i, level);
    }
  }
  if (level == closed_level) return;
  for (const Membership& m : executor.memberships) make_ready(m.in);
}

// ---- choose

// Beyond the slots the bound is also half of an even share of the queue: the rest is left for executors that become
// free later.
bool Placement::fits(const Class& in, const Executor& executor, const Membership& membership) {
  const ExecutorView& view = executor.view;
  if (view.assigned < view.slots) return true;
  const auto share = static_cast<int>(std::min<std::size_t>(most_prefetched, in.queued / (2 * in.open) + 1));
  return view.assigned - view.slots < std::min(share, prefetch(view, view.experience[membership.capability]));
}

// Rank within one bucket: exact busy share, then headroom to the heat limit, then expected run time.
bool Placement::better(const Executor& a, const Membership& am, const Executor& b, const Membership& bm) {
  const auto share_a = static_cast<std::int64_t>(a.view.assigned) * std::max(1, b.view.slots);
  const auto share_b = static_cast<std::int64_t>(b.view.assigned) * std::max(1, a.view.slots);
  if (share_a != share_b) return share_a < share_b;
  if (a.view.headroom != b.view.headroom) return a.view.headroom > b.view.headroom;
  return a.view.experience[am.capability].expected_ns < b.view.experience[bm.capability].expected_ns;
}

// Implements `load_patience` and `seniority`. An executor without a loaded model can load one without unloading
// another.
bool Placement::withheld(const Class& in, Flow& flow, const Executor& executor, Time patient_until, Time now) {
  if (!in.key.near.empty()) return true;
  if (executor.view.info.loaded_models.empty()) return false;
  if (in.holders > 0 && now < patient_until) return true;
  return withheld_for_seniority(flow, executor, now);
}

// Among the tasks of one client, a loaded model counts as `seniority` in their order. Between clients it counts as much
// time past the client's turn.
bool Placement::withheld_for_seniority(Flow& flow, const Executor& executor, Time now) {
  const std::int64_t latest = flow.tasks.begin()->order + to_ms(seniority);
  bool others = false;
  for (const Membership& m : executor.memberships) {
    const Class& other = classes_[m.in];
    if (!m.loaded || other.queued == 0 || !other.key.near.empty() || other.key.alone ||
        other.key.where.count("model") == 0) {
      continue;
    }
    const FlowIndex own = flow_of(m.in, flow.client);
    if (waits(own) && head(own).order <= latest) return true;
    others = others || others_wait(m.in, flow.client);
  }
  if (!others) return false;
  if (!flow.passed_since) flow.passed_since = now;
  return now < *flow.passed_since + seniority;
}

Placement::Fit Placement::fit(Flow& flow, const Executor& candidate, const Membership& membership,
                              const Preferences& preferences, const Idle& idle, Time now) {
  const Class& in = classes_[membership.in];
  if (in.key.alone ? !idle(candidate.view.agent) : candidate.view.reserved) return Fit::no;
  if (!fits(in, candidate, membership)) return Fit::no;
  if (!membership.loaded && withheld(in, flow, candidate, preferences.patient_until, now)) return Fit::put_off;
  const bool avoided = preferences.avoid != nullptr && candidate.view.agent_name == *preferences.avoid;
  return avoided ? Fit::last_resort : Fit::yes;
}

Placement::Chosen Placement::choose(Flow& flow, const Preferences& preferences, const Idle& idle, Time now) {
  Class& in = classes_[flow.in];
  Chosen chosen;
  std::optional<ExecutorIndex> last_resort;
  for (std::uint32_t occupied = in.occupied; occupied != 0; occupied &= occupied - 1) {
    const auto& bucket = in.buckets[static_cast<std::size_t>(std::countr_zero(occupied))];
    const Entry* best = nullptr;
    const std::size_t look = std::min(most_candidates, bucket.size());
    for (std::size_t i = 0; i < look; ++i) {
      const Entry& entry = bucket[(in.rotation + i) % bucket.size()];
      const Executor& candidate = executors_[entry.executor];
      const Membership& membership = candidate.memberships[entry.membership];
      const Fit how = fit(flow, candidate, membership, preferences, idle, now);
      if (how == Fit::put_off) chosen.put_off = true;
      if (how == Fit::last_resort) last_resort = last_resort.value_or(entry.executor);
      if (how != Fit::yes) continue;
      if (best == nullptr || better(candidate, membership, executors_[best->executor],
                                    executors_[best->executor].memberships[best->membership])) {
        best = &entry;
      }
    }
    ++in.rotation;
    if (best != nullptr) {
      chosen.executor = best->executor;
      return chosen;
    }
  }
  chosen.executor = last_resort;
  return chosen;
}

void Placement::wake_for(const Flow& flow, const Preferences& preferences, Time now) {
  const auto at = [&](Time time) {
    if (now < time) wake_ = std::min(wake_.value_or(time), time);
  };
  at(preferences.patient_until);
  if (flow.passed_since) at(*flow.passed_since + seniority);
}

void Placement::reconsider() {
  wake_.reset();
  for (const ClassIndex index : std::exchange(put_off_, {})) make_ready(index);
}

bool Placement::put_off(ClassIndex index) const {
  return std::find(put_off_.begin(), put_off_.end(), index) != put_off_.end();
}

// ---- views

std::vector<Placement::QueueView> Placement::queues() const {
  std::vector<QueueView> views;
  for (const auto& [key, index] : class_index_) {
    if (classes_[index].queued > 0 && key.near.empty()) views.push_back({key, classes_[index].queued});
  }
  return views;
}

std::vector<ClassIndex> Placement::waiting_alone() const {
  std::vector<ClassIndex> found;
  if (queued_alone_ == 0) return found;
  for (const auto& [key, index] : class_index_) {
    if (key.alone && classes_[index].queued > 0) found.push_back(index);
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<ExecutorIndex> Placement::members(ClassIndex index) const {
  std::vector<ExecutorIndex> all;
  const Class& in = classes_.at(index);
  for (const auto& bucket : in.buckets) {
    for (const Entry& entry : bucket) all.push_back(entry.executor);
  }
  for (const Entry& entry : in.closed) all.push_back(entry.executor);
  return all;
}

std::vector<ExecutorIndex> Placement::offering(const Capability& capability) const {
  const auto found = offering_.find(capability);
  return found == offering_.end() ? std::vector<ExecutorIndex>{} : found->second;
}

}  // namespace edgefleet::coordinator
