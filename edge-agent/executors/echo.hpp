// Returns its input: for health checks and benchmarks of the rest of the system.
#pragma once

#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

class EchoExecutor final : public Executor {
 public:
  explicit EchoExecutor(int slots) : name_(*ExecutorName::parse("echo")), slots_(slots) {}

  [[nodiscard]] const ExecutorName& name() const override { return name_; }
  void start(OnOffer on_offer) override {
    ExecutorInfo info;
    info.name = name_;
    info.capabilities = {*Capability::parse("echo")};
    info.slots = slots_;
    on_offer(std::move(info));
  }
  [[nodiscard]] std::map<Capability, JsonText> parameters() const override {
    return {{*Capability::parse("echo"), R"({"description":"any JSON; it is the output"})"}};
  }
  [[nodiscard]] bool instant() const override { return true; }
  RunOutcome run(const Job& job, std::stop_token /*stop*/, const OnProgress& /*on_progress*/) override {
    return {job.input, std::nullopt, {}};
  }

 private:
  ExecutorName name_;
  int slots_;
};

}  // namespace edgefleet::agent
