// Language models of one back end as an executor: capabilities llm.chat, llm.generate, llm.embed.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "common/runtime/log.hpp"
#include "edge-agent/executors/llm/exchange.hpp"
#include "edge-agent/executors/llm/ledger.hpp"
#include "edge-agent/executors/llm/lookout.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent::llm {

class LlmExecutor final : public Executor {
 public:
  using Log = std::function<void(log::Level, const std::string&)>;
  LlmExecutor(Config config, std::shared_ptr<Ledger> ledger, Log log,
              std::shared_ptr<Lookout> lookout = std::make_shared<Lookout>());
  LlmExecutor(const LlmExecutor&) = delete;
  LlmExecutor& operator=(const LlmExecutor&) = delete;
  LlmExecutor(LlmExecutor&&) = delete;
  LlmExecutor& operator=(LlmExecutor&&) = delete;
  ~LlmExecutor() override;

  [[nodiscard]] const ExecutorName& name() const override { return config_.executor; }
  void start(OnOffer on_offer) override;
  [[nodiscard]] std::map<Capability, JsonText> parameters() const override;
  void reload() override;
  RunOutcome run(const Job& job, std::stop_token stop, const OnProgress& on_progress) override;

 private:
  // How long this back end gets no requests, and why.
  struct Rest {
    Time until{};
    std::string why;
    bool key_refused = false;
    bool passes = false;  // temporary: ends soon by itself
  };

  void keep_looking(const std::stop_token& stop);
  // `trouble`: why the back end could not be reached.
  ExecutorInfo look(const std::stop_token& stop, std::string& trouble);
  Status list(Listing& listing, const std::string& key, const std::stop_token& stop);
  void offer(ExecutorInfo info);
  void expect_loaded(const std::string& model);
  [[nodiscard]] Duration pause_after(bool well) const;
  [[nodiscard]] std::string named_here(const std::string& model) const;
  RunOutcome ask_backend(RequestKind kind, const JsonText& request, const Job& job, const std::stop_token& stop,
                         const OnProgress& on_progress);
  std::optional<TaskError> check_model(const std::string& model);
  static Rest rest_for(const Exhausted& over);
  std::optional<TaskError> admit();
  void rest(Duration wait, const std::string& why, bool key_refused = false);
  void react_to(const TaskError& error);
  std::string settle(const Answer& answer, const ExchangeReport& report);

  const Config config_;
  const std::shared_ptr<Ledger> ledger_;
  const Log log_;
  const std::shared_ptr<Lookout> lookout_;
  const std::unique_ptr<Provider> provider_;
  http::Client client_;
  OnOffer on_offer_;

  mutable std::mutex mutex_;
  std::optional<ExecutorInfo> offered_;
  std::optional<Rest> rest_;
  std::jthread looking_;
};

}  // namespace edgefleet::agent::llm
