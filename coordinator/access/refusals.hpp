// Who was refused what. Attempts are counted in memory and written once a minute, so that a flood of them costs neither
// the disk nor the audit's older entries. Whoever has no credential cannot displace what others were refused, nor can
// one caller what another one was.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
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
  // Different ones between two calls of take(); further ones are counted together.
  static constexpr std::size_t most_of_one = 8;  // caller
  static constexpr std::size_t most_callers = 64;
  static constexpr std::size_t most_unknown = 8;
  static constexpr std::size_t longest_text = 300;

  void note(const std::string& who, const std::string& what);  // `who` has a credential
  // `reason` is one of few sentences, without words of the request.
  void note_unknown(const std::string& address, const std::string& reason);
  // Those since the last call.
  std::vector<Refusal> take();
  [[nodiscard]] std::uint64_t total() const;  // since the start

 private:
  struct Caller {
    std::map<std::string, std::uint64_t> counts;
    std::uint64_t others = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Caller> callers_;
  std::uint64_t other_callers_ = 0;
  std::map<std::pair<std::string, std::string>, std::uint64_t> unknown_;  // address, reason
  std::uint64_t others_unknown_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace edgefleet::coordinator
