// The clients, and what the unfinished tasks of each cost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "coordinator/core/indices.hpp"

namespace edgefleet::coordinator {

class Clients {
 public:
  // About so many clients without a task are remembered, so that none gains by coming back.
  static constexpr std::size_t most_idle = 4096;

  struct Cost {
    std::size_t tasks = 0;
    std::size_t bytes = 0;  // in memory: the weight() of these tasks
    std::uint64_t file_bytes = 0;  // of their inputs that are files
    std::uint64_t tokens = 0;  // that they are expected to take
  };

  [[nodiscard]] Cost cost(std::string_view name) const {
    const auto found = index_.find(name);
    return found == index_.end() ? Cost{} : costs_[found->second];
  }
  [[nodiscard]] std::uint64_t file_bytes() const { return file_bytes_; }  // of all

  // A task begins. The index is valid while the client has one; `may_forget(index)` is asked before an idle client is
  // forgotten.
  template <typename MayForget>
  ClientIndex add(std::string_view name, const Cost& more, MayForget may_forget) {
    auto found = index_.find(name);
    if (found == index_.end()) {
      if (idle_ > most_idle) forget_idle(may_forget);
      found = index_.emplace(std::string(name), vacant_index()).first;
    }
    Cost& cost = costs_[found->second];
    if (cost.tasks++ == 0) --idle_;
    cost.bytes += more.bytes;
    cost.file_bytes += more.file_bytes;
    cost.tokens += more.tokens;
    file_bytes_ += more.file_bytes;
    return found->second;
  }
  void remove(ClientIndex index, const Cost& less) {
    Cost& cost = costs_[index];
    if (--cost.tasks == 0) ++idle_;
    cost.bytes -= less.bytes;
    cost.file_bytes -= less.file_bytes;
    cost.tokens -= less.tokens;
    file_bytes_ -= less.file_bytes;
  }
  void reweigh(ClientIndex index, std::size_t before, std::size_t after) { costs_[index].bytes += after - before; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view name) const { return std::hash<std::string_view>{}(name); }
  };

  ClientIndex vacant_index() {
    ++idle_;
    if (vacant_.empty()) {
      costs_.emplace_back();
      return static_cast<ClientIndex>(costs_.size() - 1);
    }
    const ClientIndex index = vacant_.back();
    vacant_.pop_back();
    return index;
  }

  template <typename MayForget>
  void forget_idle(MayForget may_forget) {
    std::erase_if(index_, [&](const auto& entry) {
      if (costs_[entry.second].tasks > 0 || !may_forget(entry.second)) return false;
      vacant_.push_back(entry.second);
      --idle_;
      return true;
    });
  }

  std::unordered_map<std::string, ClientIndex, Hash, std::equal_to<>> index_;
  std::vector<Cost> costs_;
  std::vector<ClientIndex> vacant_;
  std::size_t idle_ = 0;
  std::uint64_t file_bytes_ = 0;
};

}  // namespace edgefleet::coordinator
