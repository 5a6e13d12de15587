// The language models of the fleet: which agents have them, which agents a command is for, its progress. Pure.
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

// From GET /api/v1/agents: each model on each agent, and the problems of the executors.
std::string show_models(const Document& agents, const Look& look);

// An operation on a model, and the agents that it is for.
struct ModelOrder {
  std::string verb;  // pull, remove or load, as in llm.<verb>
  std::string model;
  bool force = false;      // pull
  std::string keep_alive;  // load
  Where where;
  bool only_holders = false;  // only agents that have the model, unless `where` names an agent
};

// The name in Ollama: a name without a tag has the tag latest.
std::string full_model_name(const std::string& model);

// The matching agents that offer the operation, sorted by name; if there are none, the error gives the reason for each.
Result<std::vector<std::string>> choose_agents(const Document& agents, const ModelOrder& order);

// The body of POST /api/v1/batches: one task for each agent.
std::string to_body(const ModelOrder& order, const std::vector<std::string>& agents);

// The tasks of such a batch, as they progress.
class ModelWatch {
 public:
  // A task from GET /api/v1/tasks; called again for every new state of it.
  void take(const Document& task, Time now);
  [[nodiscard]] bool ended() const;  // all tasks so far
  [[nodiscard]] bool succeeded() const;  // all tasks so far
  // Ids of the waiting tasks, whose reason can be requested.
  [[nodiscard]] std::vector<std::string> waiting() const;
  void take_reason(const std::string& id, const std::string& status);
  // One line for each task, sorted by agent; at most `height` lines.
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
