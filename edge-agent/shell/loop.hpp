// The one thread that owns the agent's core: drains the inbox, steps each event, performs the effects.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <variant>
#include <vector>

#include "common/mqtt/deliveries.hpp"
#include "common/mqtt/paho_client.hpp"
#include "common/mqtt/session.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/topics.hpp"
#include "common/runtime/inbox.hpp"
#include "common/runtime/log.hpp"
#include "edge-agent/core/step.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/sensors/machine_watch.hpp"
#include "edge-agent/sensors/temperature.hpp"
#include "edge-agent/shell/artifact_spool.hpp"
#include "edge-agent/shell/executor_set.hpp"
#include "edge-agent/shell/pool.hpp"
#include "edge-agent/shell/reload.hpp"
#include "edge-agent/shell/spool.hpp"

namespace edgefleet::agent {

class Loop {
 public:
  struct Options {
    FleetName fleet;
    AgentName name;
    mqtt::Options broker;  // its will and client id are filled in here
    Policy policy;
    HeatLimits heat;
    std::map<std::string, std::string> labels;
    std::string machine;  // AgentInfo::machine
    std::string sys = "/sys";
    std::string work = ".";   // the folder whose free space is reported
    std::string broker_host;  // of `broker`
    std::string unknown_results;  // folder for results whose task the coordinator does not know
    std::string spool;            // folder for results that cannot be delivered
    std::shared_ptr<ArtifactSpool> artifacts;  // null: no files
    std::uint64_t max_task_bytes = 0;  // of an input in a file; 0: none
    std::shared_ptr<CoordinatorWatch> watch;  // null: there is no --coordinator
    std::function<void(bool frozen)> freeze_work;  // all processes of executors that can be frozen
    ReadAgain read_again;  // the configuration; on the loop's thread
    std::size_t inbox = 16'384;
    mqtt::MakeClient make_client = mqtt::make_paho_client;
  };

  Loop(Options options, std::vector<std::unique_ptr<Executor>> executors);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  Loop(Loop&&) = delete;
  Loop& operator=(Loop&&) = delete;
  ~Loop();

  // Until request_stop() and its grace, or until another agent keeps our name.
  Status run();
  void request_stop();  // any thread; a second time: at once
  void reload();        // any thread: the configuration is read again

 private:
  struct StopAsked {};
  struct ReloadWanted {};
  struct Offered {
    std::uint64_t version = 0;  // of the executor
    OfferChanged offer;
  };
  struct Progressed {
    AttemptKey key;
    Progress progress;
  };
  using Item = std::variant<mqtt::ClientEvent, Finished, Offered, FilesSeen, ArtifactUploaded, ArtifactRefused,
                            Progressed, MachineReading, StopAsked, ReloadWanted>;

  // ---- one drain
  [[nodiscard]] Time wake_at() const;
  void take(Item& item);
  void handle(const mqtt::ClientEvent& event);
  void handle(Finished& finished);
  void handle(Offered& offered);
  void handle(FilesSeen& seen) { step(std::move(seen)); }
  void handle(ArtifactUploaded& uploaded) { step(std::move(uploaded)); }
  void handle(ArtifactRefused& refused);
  void handle(const Progressed& progressed);
  void handle(MachineReading& reading);
  void handle(const StopAsked&);
  void handle(const ReloadWanted&) { step(ReloadAsked{}); }
  void take_part(const Progressed& progressed);
  void publish_parts();
  void step(const Event& event);
  void perform(Effect& effect);
  void read_sensors();
  void take_turn(Time until);
  void restore();
  void spool();
  std::set<std::string> hold_files(const AttemptKey& key, const JsonText& output,
                                   const std::optional<TextFile>& output_at);
  void release_files();
  void upload_again(const protocol::ControlMessage& asked);
  void watch_files();
  void end_work();

  // ---- executors and the configuration
  void start(const ExecutorSet::One& one);
  void read_configuration();
  void take_over(NewConfiguration fresh);

  // ---- MQTT
  void receive(const mqtt::Message& message);
  void describe(const protocol::ControlMessage& asked);
  void receive_control(const mqtt::Message& message);
  void check_name_conflict(const AgentStatus& status);
  void perform_mqtt(mqtt::Actions actions);
  void publish(protocol::TopicKind kind, std::string payload, std::uint64_t id = 0, bool alone = false);
  void publish(protocol::TopicKind kind, std::string payload, int qos, std::uint64_t id, bool alone);
  void publish_beat(std::string payload);
  void hold_fewer();
  void publish_results(const SendResults& send);
  [[nodiscard]] AgentInfo info() const;
  [[nodiscard]] Heartbeat heartbeat() const;
  // How many tasks fit the list of a heartbeat that the broker takes.
  [[nodiscard]] std::size_t most_listed() const;
  int bounded(int max_tasks);
  void keep_for_person(const TaskResult& result);
  void say_goodbye();

  Options options_;
  protocol::Topics topics_;
  State state_;
  std::map<ExecutorName, std::vector<protocol::ParametersElement>> schemas_;
  Inbox<Item> inbox_;
  ExecutorSet executors_;
  bool read_again_ = false;  // in this turn
  log::Complaints complaints_;
  Thermometer thermometer_;
  AgentInfo machine_;
  int max_tasks_ = 0;  // as configured
  MachineReading reading_;  // the last one
  Time began_;
  Time next_reading_;
  ResultSpool spool_;
  std::vector<AttemptKey> to_spool_;  // in this turn
  std::map<AttemptKey, std::set<std::string>> files_;  // that held results name
  std::vector<Event> instant_;  // what instant executors finished, to be stepped next
  std::map<AttemptKey, Time> last_progress_;
  std::vector<protocol::StreamMessage> parts_;  // of this turn
  mqtt::Session session_;
  mqtt::Deliveries deliveries_;
  std::unique_ptr<mqtt::Client> client_;
  std::uint64_t connects_ = 0;
  std::uint64_t large_beat_ = 0;  // the last heartbeat that the broker may refuse
  std::size_t large_beat_bytes_ = 0;
  std::deque<Time> name_conflicts_;  // when another session of our name was seen
  bool end_ = false;
  std::optional<std::string> fatal_;
  std::atomic<std::uint64_t> dropped_{0};
  std::unique_ptr<Pool> pool_;           // its threads and the watch's use the rest
  std::unique_ptr<MachineWatch> watch_;  // last
};

}  // namespace edgefleet::agent
