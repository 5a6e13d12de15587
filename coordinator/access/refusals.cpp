#include "coordinator/access/refusals.hpp"

#include "common/core/utf8.hpp"
#include "coordinator/access/database.hpp"

namespace edgefleet::coordinator {

void Refusals::note(std::string who, std::string what) {
  who = cut_front(who, longest_text);
  what = cut_front(what, longest_text);
  const std::lock_guard lock(mutex_);
  ++total_;
  const auto key = std::pair(std::move(who), std::move(what));
  if (const auto found = counts_.find(key); found != counts_.end()) {
    ++found->second;
  } else if (counts_.size() < most_kinds) {
    counts_.emplace(key, 1);
  } else {
    ++others_;
  }
}

std::vector<Refusal> Refusals::take() {
  const std::lock_guard lock(mutex_);
  std::vector<Refusal> all;
  for (const auto& [key, count] : counts_) all.push_back({key.first, key.second, count});
  if (others_ > 0) all.push_back({std::string(actor::others), "other requests", others_});
  counts_.clear();
  others_ = 0;
  return all;
}

std::uint64_t Refusals::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace edgefleet::coordinator
