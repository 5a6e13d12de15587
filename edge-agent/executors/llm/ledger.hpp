// The used part of the budgets of one back end, kept over restarts in a file. An executor shares it with its successor
// after a change of the configuration, since both may be in use for a while. Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "edge-agent/executors/executor_log.hpp"
#include "edge-agent/executors/llm/budget.hpp"

namespace edgefleet::agent::llm {

class Ledger {
 public:
  Ledger(std::string path, ExecutorLog log);
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;
  Ledger(Ledger&&) = delete;
  Ledger& operator=(Ledger&&) = delete;
  ~Ledger() { keep(true); }

  [[nodiscard]] std::optional<Exhausted> exhausted(const Budget& budget);
  // Counts a request, unless the budget is exhausted.
  std::optional<Exhausted> take_request(const Budget& budget);
  void count_tokens(const Budget& budget, std::uint64_t tokens);
  // Writes the file, if it is due or `now`. Rarely: SD cards wear. A crash loses at most the counts of half a minute.
  void keep(bool now);

 private:
  const std::string path_;
  const ExecutorLog log_;
  std::mutex mutex_;
  std::mutex writing_;  // one writer at a time; taken before mutex_
  Spent spent_;
  Time kept_{};
  bool changed_ = false;
};

}  // namespace edgefleet::agent::llm
