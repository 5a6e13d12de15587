// Connects the loop to the broker: messages become events and requests, effects become messages. All on the loop's
// thread, except up() and the callback of the client's thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/core/token_bucket.hpp"
#include "common/mqtt/deliveries.hpp"
#include "common/mqtt/session.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/topics.hpp"
#include "coordinator/shell/inbox_shares.hpp"
#include "coordinator/shell/mqtt_replies.hpp"
#include "coordinator/shell/parameter_rules.hpp"
#include "coordinator/shell/requests.hpp"
#include "coordinator/shell/result_files.hpp"
#include "coordinator/shell/stream_hub.hpp"
#include "coordinator/store/artifacts/artifacts.hpp"

namespace edgefleet::coordinator {

// What agents may do; empty: everything. On the loop's thread.
struct AgentRules {
  std::function<bool(const AgentName& agent)> admits;
  std::function<bool(const AgentName& agent, const Capability& capability)> may_offer;
};

// The list of revoked certificates of a closed fleet, which the broker keeps at `coordinator/crl`; empty: there is
// none. On the loop's thread; neither waits.
struct RevocationLists {
  std::function<std::shared_ptr<const std::string>()> own;  // PEM; another object whenever it is another list
  std::function<void(const std::string& pem)> seen;         // one that is not our own: it may be newer than our data
};

class MqttLink {
 public:
  struct Options {
    FleetName fleet;
    mqtt::Options broker;  // the will and the client id are filled in here
    std::size_t inbox = 0;  // bounds on received messages that have not been handled
    std::size_t inbox_bytes = 0;
    AgentRules agent_rules{};
    SubmitterOf submitter_of{};  // empty: the broker does not check the names of clients
    RevocationLists revocations{};
  };
  // Passes an event from the client's thread to the loop. Neither function blocks.
  struct Intake {
    std::function<bool(mqtt::ClientEvent&&)> offer;   // false: full
    std::function<void(mqtt::ClientEvent&&)> insist;  // for connection events
  };

  // The objects that it uses; all of them outlive it.
  struct Parts {
    Engine& engine;
    Requests& requests;
    Store& store;
    Artifacts& artifacts;
    StreamHub& hub;
    const ParameterRules& rules;
    log::Complaints& complaints;
  };

  MqttLink(Options options, const Parts& parts, Intake intake);

  void set_store(std::string identity) { store_identity_ = std::move(identity); }
  // Connects, under the reign that the engine has at this time.
  Status start(const mqtt::MakeClient& make_client);
  [[nodiscard]] bool up() const { return up_; }  // any thread

  // The broker has ended the connection for another client of this name, and this one stays away until come_back().
  [[nodiscard]] bool thrown_out() const { return thrown_out_; }
  void come_back() { thrown_out_ = false; }

  void handle(const mqtt::ClientEvent& event);
  void tick();
  [[nodiscard]] std::optional<Time> next_tick() const;
  void notice_drops();
  void send_replies();
  [[nodiscard]] MqttReplies& replies() { return replies_; }

  // While the store fails: true if the event is to be kept until the store recovers (`room`: messages can be kept).
  // Submits are refused; events that only concern the connection are handled.
  bool keep(const mqtt::ClientEvent& event, bool room, const Error& why);

  // ---- effects
  void perform(const SendTasks& send);
  void perform(const SendAcknowledge& send);
  void perform(const SendCancel& send);
  void perform(const SendRecall& send);
  void perform(const SendDrain& send);
  void perform(const SendReload& send);
  void perform(const AskStore& ask);
  void perform(const AnnounceReign& announce);
  void perform(const SendIntroduce& send);
  void perform(const SendDescribe& send);
  void perform(const ForgetAgent& forget);

  // ---- the end
  void publish_offline();
  [[nodiscard]] bool sending() const { return session_.up() && !session_.idle(); }
  void disconnect(Duration patience);

 private:
  void on_event(mqtt::ClientEvent&& event);
  [[nodiscard]] std::string sender_of(const mqtt::Message& message) const;
  void release(const mqtt::Message& message);
  void take_part(const AgentName& agent, const mqtt::Message& message);
  void receive(const mqtt::Message& message);
  void dispatch(const protocol::Topic& topic, const mqtt::Message& message);
  void complain_of(const std::string& what, const mqtt::Message& message, const std::string& why);
  template <typename T, typename MakeEvent>
  void decoded(const mqtt::Message& message, Result<T> payload, MakeEvent make);
  void keep_to_rules(const AgentName& agent, AgentInfo& info, const mqtt::Message& message);
  void take_parameters(const AgentName& agent, const mqtt::Message& message);
  void take_submission(const protocol::Topic& topic, const mqtt::Message& message);
  bool can_be_answered(const protocol::Topic& topic, const mqtt::Message& message);
  void answer_when_ended(const TaskId& id, const std::string& client, const mqtt::Message& request);

  void notice_takeover(const mqtt::ClientEvent& event);
  void act(mqtt::Actions actions);
  void act(const mqtt::DoSubscribe& subscribe);
  void act(const mqtt::TellUp& up);
  void act(const mqtt::TellDown& down);
  void act(const mqtt::TellRefused& refused);
  void take(const mqtt::ClientEvent& event);
  void publish(const protocol::Topic& topic, std::string payload, std::uint64_t id = 0, bool alone = false);
  void publish_status(protocol::CoordinatorState state);
  void beat();
  void announce_revocations();
  void take_revocations(const mqtt::Message& message);
  void control(const AgentName& agent, protocol::ControlType type, const std::vector<AttemptKey>& tasks,
               bool unknown = false);
  void send_control(const AgentName& agent, protocol::ControlType type, const std::vector<protocol::AttemptRef>& refs);

  Options options_;
  Engine& engine_;
  Requests& requests_;
  Store& store_;
  Artifacts& artifacts_;
  StreamHub& hub_;
  const ParameterRules& rules_;
  log::Complaints& complaints_;
  Intake intake_;
  protocol::Topics topics_;
  MqttReplies replies_;
  ResultFiles result_files_;
  mqtt::Session session_;
  mqtt::Deliveries deliveries_;
  std::vector<Undeliverable> refused_;  // for the next turn: they may be found while effects are carried out
  std::unique_ptr<mqtt::Client> client_;  // none until start()
  std::string store_identity_;
  std::unordered_map<AgentName, TokenBucket> lookups_;  // of results in the store, by agent
  Time next_beat_;
  Time connected_at_;
  bool thrown_out_ = false;
  Time announce_from_;  // our list of revoked certificates
  std::shared_ptr<const std::string> announced_;
  std::atomic<bool> up_{false};
  InboxShares inbox_;
  std::atomic<std::uint64_t> dropped_{0};
  std::uint64_t dropped_reported_ = 0;
};

}  // namespace edgefleet::coordinator
