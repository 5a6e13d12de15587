// Downloads, removes and loads the models of one Ollama: capabilities llm.pull, llm.remove, llm.load. It has a slot of
// its own, so that an hour's download does not block chats; at the start it downloads the configured models.
#pragma once

#include <memory>
#include <mutex>
#include <thread>

#include "common/runtime/log.hpp"
#include "edge-agent/executors/llm/lookout.hpp"
#include "edge-agent/executors/llm/models_folder.hpp"
#include "edge-agent/executors/llm/ollama_models.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent::llm {

class ModelKeeper final : public Executor {
 public:
  using Log = std::function<void(log::Level, const std::string&)>;
  // `memory_bytes`: total of this machine. `lookout`: shared with the chat executor.
  ModelKeeper(Config config, std::uint64_t memory_bytes, std::shared_ptr<Lookout> lookout, Log log);
  ModelKeeper(const ModelKeeper&) = delete;
  ModelKeeper& operator=(const ModelKeeper&) = delete;
  ModelKeeper(ModelKeeper&&) = delete;
  ModelKeeper& operator=(ModelKeeper&&) = delete;
  ~ModelKeeper() override;

  [[nodiscard]] const ExecutorName& name() const override { return *config_.keeper; }
  void start(OnOffer on_offer) override;
  [[nodiscard]] std::map<Capability, JsonText> parameters() const override;
  RunOutcome run(const Job& job, std::stop_token stop, const OnProgress& on_progress) override;

 private:
  struct Order {
    ModelName model;
    bool force = false;
    Json keep_alive;
    bool repeated = false;  // an earlier attempt may have completed the work
  };
  using Limits = OllamaModels::Limits;
  using Failure = OllamaModels::Failure;
  using Work = RunOutcome (ModelKeeper::*)(const Order&, const Limits&, const OnProgress&);
  struct Operation {
    const char* capability;
    Work work;
    std::vector<std::string_view> fields;  // of its input, beside `model`
  };
  static const std::vector<Operation>& operations();
  static Result<Order> read_order(const Operation& operation, const Job& job);

  RunOutcome pull_for_task(const Order& order, const Limits& limits, const OnProgress& on_progress);
  RunOutcome pull(const Order& order, const Limits& limits, const OnProgress& on_progress);
  RunOutcome remove(const Order& order, const Limits& limits, const OnProgress& on_progress);
  RunOutcome load(const Order& order, const Limits& limits, const OnProgress& on_progress);

  // Before a download, and during it if the size was unknown before.
  class Room;

  [[nodiscard]] std::string why_not_offered(const ModelName& model) const;  // empty: it is
  void keep_pulled(const std::stop_token& stop);
  std::vector<ModelName> wanted_models();
  RunOutcome pull_at_start(const ModelName& model, const std::stop_token& stop);
  void offer();
  void notice(const std::string& text);

  const Config config_;
  const std::uint64_t memory_bytes_;
  const bool local_;  // Ollama is on this machine
  const ModelsFolder folder_;
  const std::shared_ptr<Lookout> lookout_;
  const Log log_;
  OllamaModels ollama_;
  OnOffer on_offer_;

  std::mutex mutex_;
  std::string trouble_;
  std::string notice_;
  std::jthread pulling_;
};

}  // namespace edgefleet::agent::llm
