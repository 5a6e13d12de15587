// Which call of a conversation a tool message answers. Ids may repeat in a later turn, so the newest turn counts first,
// and within a turn the first call that has no answer yet.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace edgefleet::agent::llm {

class CallsSoFar {
 public:
  struct Call {
    std::string id;
    std::string name;
    std::size_t turn = 0;
    bool answered = false;
  };

  void begin_turn() { ++turn_; }
  void add(std::string id, std::string name) { calls_.push_back({std::move(id), std::move(name), turn_, false}); }

  // nullptr: no message before it has a call with this id. Otherwise valid until the next add().
  const Call* answer(const std::string& id) {
    Call* best = nullptr;
    for (Call& call : calls_) {
      if (call.id != id) continue;
      const bool newer = best == nullptr || call.turn != best->turn;
      if (newer || best->answered) best = &call;
    }
    if (best != nullptr) best->answered = true;
    return best;
  }

  // Of a call that answer() has returned: among all calls.
  [[nodiscard]] std::size_t position(const Call& call) const { return static_cast<std::size_t>(&call - calls_.data()); }

 private:
  std::vector<Call> calls_;
  std::size_t turn_ = 0;
};

}  // namespace edgefleet::agent::llm
