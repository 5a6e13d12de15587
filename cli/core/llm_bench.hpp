// How fast language models answer: the requests, and the table of the results. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"

namespace edgefleet::cli {

struct LlmBenchOptions {
  std::string model;  // empty: every model
  std::string prompt = "Write a long story about a small computer that looks after a garden.";
  int tokens = 128;   // maximum length of an answer
  int repeat = 3;
};

// A model of an agent; `model` is the value of the condition `model` of a task.
struct LlmPair {
  std::string agent;
  std::string model;
  friend bool operator==(const LlmPair&, const LlmPair&) = default;
};

// Made from the answer of GET /api/v1/agents.
struct LlmPlan {
  std::vector<LlmPair> pairs;             // the pairs of one agent are adjacent
  std::vector<std::string> left_out;      // "pi-3 is offline", for agents that have a wanted model
  std::vector<std::string> other_models;  // offered, but not wanted
};
LlmPlan plan_llm_bench(const Document& agents, const std::string& model);

// Why the plan has no pairs.
std::string nothing_to_ask(const LlmPlan& plan, const std::string& model);

// The middle one, or the mean of the two in the middle; nothing for an empty list.
std::optional<double> median(std::vector<double> numbers);

// A measurement in progress. A lane is an agent: its requests run one after another, and the lanes run in parallel.
// After a failure the remaining requests of that pair are skipped.
class LlmBench {
 public:
  LlmBench(std::vector<LlmPair> pairs, LlmBenchOptions options);

  [[nodiscard]] std::size_t lanes() const { return lanes_.size(); }
  // The body of POST /api/v1/tasks for the next request of that lane; nothing when the lane has finished.
  [[nodiscard]] std::optional<std::string> next(std::size_t lane) const;
  void ended(std::size_t lane, const Document& task);
  void failed(std::size_t lane, const std::string& reason);

  [[nodiscard]] bool any_failed() const;
  // "3 of 12 requests; pi-1: edge-tiny 2 of 3, queued: ..."; `status`: of the task of each lane, empty if it has none.
  [[nodiscard]] std::string progress(const std::vector<std::string>& status) const;
  [[nodiscard]] std::string show(const Look& look) const;
  [[nodiscard]] Document document() const;

 private:
  struct Row {
    LlmPair pair;
    std::vector<Document> usages;  // of the successful requests
    std::string failure;
  };
  struct Lane {
    std::size_t row;  // the one that is measured now
    std::size_t end;
  };
  [[nodiscard]] int asks_of(const Row& row) const;
  [[nodiscard]] Row& current(std::size_t lane) { return rows_[lanes_[lane].row]; }
  void step(Lane& lane);

  LlmBenchOptions options_;
  std::vector<Row> rows_;
  std::vector<Lane> lanes_;
};

}  // namespace edgefleet::cli
