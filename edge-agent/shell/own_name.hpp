// The name of an agent that was given none: that of its machine, or with a suffix if another machine has that name.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/core/agent.hpp"
#include "common/mqtt/paho_client.hpp"
#include "common/mqtt/session.hpp"
#include "common/protocol/topics.hpp"
#include "common/runtime/inbox.hpp"

namespace edgefleet::agent {

// 16 hex digits that differ between machines, and between work folders of a machine; nothing can be read from them.
std::string machine_identity(const std::string& work);

// Which name is free, by the status and info that the broker has of each. Pure.
class NameChoice {
 public:
  // In the order of preference: the name of earlier runs, if there is one, `wanted`, and `wanted` with a suffix.
  NameChoice(std::string identity, AgentName wanted, std::optional<AgentName> earlier);

  [[nodiscard]] const std::vector<AgentName>& candidates() const { return candidates_; }
  void seen(const AgentName& name, AgentStatus status);
  void seen(const AgentName& name, const AgentInfo& info);
  // `settled`: what has not arrived by now does not exist. None: not known yet.
  [[nodiscard]] std::optional<AgentName> choice(bool settled) const;

 private:
  struct Seen {
    std::optional<AgentStatus> status;
    std::optional<SessionId> session;  // of the info
    std::string machine;
  };
  enum class Finding { unknown, free, taken };
  [[nodiscard]] Finding finding(const AgentName& name) const;

  std::string identity_;
  std::vector<AgentName> candidates_;
  std::map<AgentName, Seen> seen_;
};

// The choice of earlier runs, in the agent's work folder. It holds for this machine and its present name only.
struct KeptName {
  std::string wanted;
  std::string identity;
  AgentName name;
};
std::optional<AgentName> read_kept_name(const std::string& work, const std::string& wanted,
                                        const std::string& identity);
Status keep_name(const std::string& work, const KeptName& kept);

// Asks the broker, with a client id of its own: two clients with the id of one agent disconnect each other.
class NameCheck {
 public:
  struct Options {
    FleetName fleet;
    AgentName wanted;
    std::string work;  // folder
    mqtt::Options broker;
    Duration settle = std::chrono::seconds(1);    // after the subscription
    Duration patience = std::chrono::seconds(5);  // with the broker, if an earlier run has chosen a name
    mqtt::MakeClient make_client = mqtt::make_paho_client;
  };
  explicit NameCheck(Options options);

  // Waits for the broker. No value: a stop was requested.
  Result<std::optional<AgentName>> run();
  void request_stop() { inbox_.insist(StopAsked{}); }  // any thread

 private:
  struct StopAsked {};
  using Item = std::variant<mqtt::ClientEvent, StopAsked>;
  void take(const mqtt::Message& message);
  void perform(const mqtt::Actions& actions);
  void subscribe();
  [[nodiscard]] std::optional<AgentName> chosen() const;
  Result<std::optional<AgentName>> conclude(const AgentName& name) const;

  Options options_;
  std::string identity_;
  std::optional<AgentName> earlier_;
  NameChoice choice_;
  protocol::Topics topics_;
  mqtt::Session session_;
  Time began_;
  std::optional<Time> settled_at_;
  Inbox<Item> inbox_{1024};
  std::unique_ptr<mqtt::Client> client_;  // last: it uses the inbox
};

}  // namespace edgefleet::agent
