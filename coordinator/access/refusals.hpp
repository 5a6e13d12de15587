// Who was refused what. Attempts are counted in memory and written once a minute, so that a flood of them costs neither
// the disk nor the audit's older entries.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace edgefleet::coordinator {

struct Refusal {
  std::string who;  // an access, an agent, or the address of somebody unknown
  std::string what;  // what was missing, for people
  std::uint64_t count = 1;

  friend bool operator==(const Refusal&, const Refusal&) = default;
};

// Any thread; never blocks.
class Refusals {
 public:
  static constexpr std::size_t most_kinds = 64;  // different ones between two calls of take(); then they are "others"
  static constexpr std::size_t longest_text = 300;

  void note(std::string who, std::string what);
  // Those since the last call.
  std::vector<Refusal> take();
  [[nodiscard]] std::uint64_t total() const;  // since the start

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> counts_;
  std::uint64_t others_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace edgefleet::coordinator
