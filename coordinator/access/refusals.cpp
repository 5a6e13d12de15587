#include "coordinator/access/refusals.hpp"

#include "common/core/utf8.hpp"
#include "coordinator/access/database.hpp"

namespace edgefleet::coordinator {
namespace {

// False: it is a further one, and there is no room for it.
template <typename Key>
bool count(std::map<Key, std::uint64_t>& counts, const Key& key, std::size_t most) {
  const auto found = counts.find(key);
  if (found == counts.end() && counts.size() >= most) return false;
  ++counts[key];
  return true;
}

}  // namespace

void Refusals::note(const std::string& name, const std::string& what) {
  const std::string who(cut_front(name, longest_text));
  const std::lock_guard lock(mutex_);
  ++total_;
  if (!callers_.contains(who) && callers_.size() >= most_callers) {
    ++other_callers_;
    return;
  }
  Caller& caller = callers_[who];
  if (!count(caller.counts, std::string(cut_front(what, longest_text)), most_of_one)) ++caller.others;
}

void Refusals::note_unknown(const std::string& address, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  ++total_;
  if (!count(unknown_, std::pair(address, reason), most_unknown)) ++others_unknown_;
}

std::vector<Refusal> Refusals::take() {
  const std::lock_guard lock(mutex_);
  std::vector<Refusal> all;
  for (const auto& [who, caller] : callers_) {
    for (const auto& [what, times] : caller.counts) all.push_back({who, what, times});
    if (caller.others > 0) all.push_back({who, "other requests", caller.others});
  }
  for (const auto& [key, times] : unknown_) all.push_back({key.first, key.second, times});
  if (other_callers_ > 0) all.push_back({"other accesses and agents", "other requests", other_callers_});
  if (others_unknown_ > 0) all.push_back({"other addresses", "other requests", others_unknown_});
  callers_.clear();
  unknown_.clear();
  other_callers_ = 0;
  others_unknown_ = 0;
  return all;
}

std::uint64_t Refusals::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace edgefleet::coordinator
