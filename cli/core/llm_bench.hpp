// How fast language models answer: whom to ask, what, and the table of what came back. Pure.
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
  int tokens = 128;   // an answer has at most these
  int repeat = 3;
};

// A model of an agent; `model` as the conditions of a task name it.
struct LlmPair {
  std::string agent;
  std::string model;
  friend bool operator==(const LlmPair&, const LlmPair&) = default;
};

// Of GET /api/v1/agents.
struct LlmPlan {
  std::vector<LlmPair> pairs;             // the pairs of one agent stand together
  std::vector<std::string> left_out;      // "pi-3 is offline", of agents that would have been asked
  std::vector<std::string> other_models;  // that were not asked for
};
LlmPlan plan_llm_bench(const Document& agents, const std::string& model);

// Why there is nothing to ask.
std::string nothing_to_ask(const LlmPlan& plan, const std::string& model);

// The middle one, or the mean of the two in the middle; nothing of nothing.
std::optional<double> median(std::vector<double> numbers);

// The measurement as it goes on. A lane is an agent: its asks come one after another, the lanes side by side. After a
// failure the rest of that pair is left out.
class LlmBench {
 public:
  LlmBench(std::vector<LlmPair> pairs, LlmBenchOptions options);

  [[nodiscard]] std::size_t lanes() const { return lanes_.size(); }
  // The body of POST /api/v1/tasks for the next ask of that lane; nothing once it is through.
  [[nodiscard]] std::optional<std::string> next(std::size_t lane) const;
  void ended(std::size_t lane, const Document& task);
  void failed(std::size_t lane, const std::string& reason);

  [[nodiscard]] bool any_failed() const;
  // "3 of 12 asks; pi-1: edge-tiny 2 of 3, queued: ..."; `status`: of each lane's task, empty if there is none.
  [[nodiscard]] std::string progress(const std::vector<std::string>& status) const;
  [[nodiscard]] std::string show(const Look& look) const;
  [[nodiscard]] Document document() const;

 private:
  struct Row {
    LlmPair pair;
    std::vector<Document> usages;  // of the successes
    std::string failure;
  };
  struct Lane {
    std::size_t row;  // the one that is asked now
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
