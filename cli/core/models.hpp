// The fleet's language models: who has which, who is to fetch or drop one, and how far that is. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/core/document.hpp"
#include "cli/core/progress.hpp"
#include "cli/core/text.hpp"
#include "common/core/result.hpp"
#include "common/core/task.hpp"

namespace edgefleet::cli {

// Of GET /api/v1/agents: each model on each agent, and what keeps executors of models from working.
std::string show_models(const Document& agents, const Look& look);

// What is to be done with a model, and where.
struct ModelOrder {
  std::string verb;  // pull, remove, load: of llm.<verb>
  std::string model;
  bool force = false;      // pull
  std::string keep_alive;  // load
  Where where;
  bool only_holders = false;  // unless an agent is named: those that have the model
};

// Ollama's name of it: what has no tag is called latest.
std::string full_model_name(const std::string& model);

// The agents that match and offer it, by name; an error says who does not, and why.
Result<std::vector<std::string>> choose_agents(const Document& agents, const ModelOrder& order);

// The body of POST /api/v1/batches: a task for each agent.
std::string to_body(const ModelOrder& order, const std::vector<std::string>& agents);

// A task of such a batch, watched.
class ModelWatch {
 public:
  // As GET /api/v1/tasks shows them; each of them may come again and again.
  void take(const Document& task, Time now);
  [[nodiscard]] bool ended() const;      // all that were seen
  [[nodiscard]] bool succeeded() const;  // all of them
  // Of those that wait or run: for a closer look.
  [[nodiscard]] std::vector<std::string> waiting() const;
  void take_reason(const std::string& id, const std::string& status);
  // A line for each, by agent; at most `height`.
  [[nodiscard]] std::string lines(int width, int height) const;

 private:
  struct One {
    std::string agent;
    std::string state;
    std::string reason;  // why it does not run
    Document progress;
    RateMeter rate;
  };
  std::map<std::string, One> tasks_;  // by id
};

// "pi-1  fetched deepseek-coder:1.3b, 740.1 MiB, in 3 min 2 s", "pi-2  failed: insufficient_storage: ..."
std::string show_model_outcome(const Document& task);

}  // namespace edgefleet::cli
