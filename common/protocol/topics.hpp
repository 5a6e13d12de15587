// The table of topics, which builds and parses all of them; no other file contains a topic.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/ids.hpp"

namespace edgefleet::protocol {

enum class TopicKind {
  agent_status,
  agent_info,
  heartbeat,
  temperature,
  parameters,
  tasks,
  results,
  stream,
  control,
  coordinator_status,
  coordinator_beat,
  coordinator_crl,
  submit,
  reply
};

// A topic below the fleet's root; a capability is spelled with `_` for `.` in it. Names that its kind does not have are
// empty; in a filter, an empty name matches any (`+`).
struct Topic {
  TopicKind kind = TopicKind::agent_status;
  AgentName agent;
  Capability capability;
  ClientName client;
  friend bool operator==(const Topic&, const Topic&) = default;
};

struct TopicRule {
  TopicKind kind;
  std::string_view pattern;  // below the root
  int qos;
  bool retained;
};
// Patterns below the root that the access lists of a closed broker have, and that are in no rule: nothing is sent there
// yet.
inline constexpr std::string_view coordinator_summary = "coordinator/summary";
inline constexpr std::string_view fleet_events = "events/#";
inline constexpr std::string_view operate = "operate/{client}";
inline constexpr std::string_view everything_of_agents = "agents/#";
inline constexpr std::string_view everything = "#";

const std::vector<TopicRule>& topic_rules();
const TopicRule& rule(TopicKind kind);

class Topics {
 public:
  explicit Topics(const FleetName& fleet);
  [[nodiscard]] std::string build(const Topic& topic) const;
  // For access lists: `name` stands where the pattern has an agent or a client, and a capability is any (`+`).
  [[nodiscard]] std::string filter(std::string_view pattern, std::string_view name) const;
  [[nodiscard]] std::optional<Topic> parse(std::string_view topic) const;
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  std::string root_;  // edgefleet/v1/<fleet>/
};

}  // namespace edgefleet::protocol
