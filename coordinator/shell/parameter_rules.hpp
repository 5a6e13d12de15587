// Checks the inputs of submitted tasks against what the agents say of their capabilities.
#pragma once

#include <map>
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/protocol/schema.hpp"
#include "coordinator/shell/after_commit.hpp"

namespace edgefleet::coordinator {

class ParameterRules final : public CommitListener {
 public:
  static constexpr std::size_t most_checked = 8;  // different descriptions of a capability; with more, none is

  void committed(const Changes& changes, const State& state) override;

  // Any thread. An error if every executor that offers the capability describes its input, and none accepts this one.
  // `input`: well formed.
  [[nodiscard]] Status check(const Capability& capability, std::string_view input) const;

 private:
  struct Offer {
    Capability capability;
    std::string digest;  // empty: without a description
  };
  void offer(const AgentName& name, const State& state);
  void withdraw(const AgentName& name);
  void learn(const std::string& digest, const State& state);
  [[nodiscard]] std::vector<protocol::Schema> rules_of(const Capability& capability) const;

  mutable std::shared_mutex mutex_;
  std::map<AgentName, std::vector<Offer>> agents_;
  std::map<Capability, std::map<std::string, std::size_t>> offers_;  // number of executors by digest
  struct Rule {
    std::size_t offers = 0;
    std::optional<protocol::Schema> schema;  // none: not known yet
  };
  std::map<std::string, Rule> rules_;  // by digest
};

}  // namespace edgefleet::coordinator
