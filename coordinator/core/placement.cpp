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

void Placement::enqueue(ClassIndex index, const OrderKey& key) {
  Class& in = classes_[index];
  if (in.queue.empty()) --idle_classes_;
  in.queue.insert(key);
  if (in.key.alone) ++queued_alone_;
  if (in.ready && *in.ready < key) return;  // its head is still the same
  unready(in, index);
  make_ready(index);
}

bool Placement::dequeue(ClassIndex index, const OrderKey& key) {
  Class& in = classes_[index];
  if (!in.queue.erase(key)) return false;
  if (in.key.alone) --queued_alone_;
  if (in.queue.empty()) ++idle_classes_;
  if (in.ready == key) {
    unready(in, index);
    make_ready(index);
  }
  return true;
}

std::size_t Placement::ahead(ClassIndex index, const OrderKey& key) const {
  return classes_.at(index).queue.order_of_key(key);
}

void Placement::make_ready(ClassIndex index) {
  Class& in = classes_[index];
  if (in.ready || in.queue.empty() || in.occupied == 0) return;
  in.ready = *in.queue.begin();
  ready_.emplace(*in.ready, index);
}

void Placement::unready(Class& in, ClassIndex index) {
  if (!in.ready) return;
  ready_.erase({*in.ready, index});
  in.ready.reset();
}

// Classes depend on the submitted tasks. Up to `most_idle_classes` without a task are kept, because creating one looks
// at every executor that offers the capability.
void Placement::forget_idle_classes() {
  if (idle_classes_ <= most_idle_classes) return;
  for (ClassIndex index = 0; index < classes_.size(); ++index) {
    if (classes_[index].used && classes_[index].queue.empty()) forget_class(index);
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
  const auto share = static_cast<int>(std::min<std::size_t>(most_prefetched, in.queue.size() / (2 * in.open) + 1));
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
bool Placement::withheld(const Class& in, const Executor& executor, Time patient_until, Time now) const {
  if (!in.key.near.empty()) return true;
  if (executor.view.info.loaded_models.empty()) return false;
  if (in.holders > 0 && now < patient_until) return true;
  const std::int64_t latest = in.queue.begin()->order + to_ms(seniority);
  return std::any_of(executor.memberships.begin(), executor.memberships.end(), [&](const Membership& m) {
    const Class& other = classes_[m.in];
    return m.loaded && !other.queue.empty() && other.queue.begin()->order <= latest && other.key.near.empty() &&
           !other.key.alone && other.key.where.count("model") > 0;
  });
}

Placement::Chosen Placement::choose(Class& in, const Preferences& preferences, const Idle& idle, Time now) {
  Chosen chosen;
  std::optional<ExecutorIndex> last_resort;
  for (std::uint32_t occupied = in.occupied; occupied != 0; occupied &= occupied - 1) {
    const auto& bucket = in.buckets[static_cast<std::size_t>(std::countr_zero(occupied))];
    const Entry* best = nullptr;
    const std::size_t look = std::min(most_candidates, bucket.size());
    for (std::size_t i = 0; i < look; ++i) {
      const Entry& entry = bucket[(in.turn + i) % bucket.size()];
      const Executor& candidate = executors_[entry.executor];
      const Membership& membership = candidate.memberships[entry.membership];
      if (in.key.alone ? !idle(candidate.view.agent) : candidate.view.reserved) continue;
      if (!fits(in, candidate, membership)) continue;
      if (!membership.loaded && withheld(in, candidate, preferences.patient_until, now)) {
        chosen.put_off = true;
        continue;
      }
      if (preferences.avoid != nullptr && candidate.view.agent_name == *preferences.avoid) {
        last_resort = last_resort.value_or(entry.executor);
        continue;
      }
      if (best == nullptr || better(candidate, membership, executors_[best->executor],
                                    executors_[best->executor].memberships[best->membership])) {
        best = &entry;
      }
    }
    ++in.turn;
    if (best != nullptr) {
      chosen.executor = best->executor;
      return chosen;
    }
  }
  chosen.executor = last_resort;
  return chosen;
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
    if (!classes_[index].queue.empty() && key.near.empty()) views.push_back({key, classes_[index].queue.size()});
  }
  return views;
}

std::vector<ClassIndex> Placement::waiting_alone() const {
  std::vector<ClassIndex> found;
  if (queued_alone_ == 0) return found;
  for (const auto& [key, index] : class_index_) {
    if (key.alone && !classes_[index].queue.empty()) found.push_back(index);
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
