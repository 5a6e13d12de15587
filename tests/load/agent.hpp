// One simulated agent: the real core and the real rules of a connection, on its own real connection. Only its board and
// its executor are simulated; the executor returns its input after the time that the input states.
#pragma once

#include <map>
#include <random>
#include <string>
#include <vector>

#include "common/mqtt/session.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/topics.hpp"
#include "edge-agent/core/step.hpp"
#include "tests/load/connection.hpp"

namespace edgefleet::load {

// Sums over all agents.
struct Counters {
  std::uint64_t up = 0;  // connected and subscribed now
  std::uint64_t connects = 0;  // that succeeded
  std::uint64_t losses = 0;  // of connections that were up
  std::uint64_t beats = 0;
  std::uint64_t sent = 0;  // messages, including heartbeats
  std::uint64_t received = 0;
  std::uint64_t dropped = 0;  // messages that could not be sent
  std::uint64_t started = 0;  // runs of tasks
  std::uint64_t finished = 0;
  std::uint64_t stopped = 0;  // runs that were cancelled
  std::uint64_t returned = 0;  // tasks returned to the coordinator
  std::uint64_t spooled = 0;  // results undelivered for so long that a real agent writes them to its disk
  std::uint64_t unknown = 0;  // results that the coordinator answered as unknown
  std::uint64_t bad = 0;  // messages that could not be decoded
  std::int64_t first_start_ns = 0;  // start of the first run, on the monotonic clock
};

struct Setting {
  FleetName fleet;
  std::string host;
  int port = 0;
  Capability capability;
  int slots = 1;
  protocol::Topics topics;
};

class SimulatedAgent {
 public:
  SimulatedAgent(const Setting& setting, AgentName name, const mqtt::TlsFiles& tls, std::uint64_t seed,
                 Counters& counters);

  void start(Time now);
  // Handles all events that have arrived or are due.
  void take_turn(Time now);
  [[nodiscard]] Time wake_at() const;
  // It needs a connection and waits until its owner calls connect().
  [[nodiscard]] bool needs_connection() const { return needs_connection_; }
  void connect();
  [[nodiscard]] bool connecting() const { return connecting_ && !session_.up() && !session_.next_tick(); }
  Connection& connection() { return connection_; }

 private:
  struct Run {
    Time began;
    Time ends;
    JsonText input;
  };
  mqtt::Options options_for(const Setting& setting, const mqtt::TlsFiles& tls) const;
  void step(const agent::Event& event, Time now);
  void perform(const agent::Effect& effect, Time now);
  void begin(const agent::StartTask& start, Time now);
  void finish_due(Time now);
  void care(Time now);
  void receive(const mqtt::Message& message, Time now);
  void receive_tasks(const protocol::Topic& topic, const mqtt::Message& message, Time now);
  void receive_control(const mqtt::Message& message, Time now);
  void perform_mqtt(mqtt::Actions actions, Time now);
  void publish(protocol::TopicKind kind, std::string payload, Time now);
  [[nodiscard]] AgentInfo info() const;
  [[nodiscard]] Heartbeat heartbeat(Time now) const;

  const Setting& setting_;
  Counters& counters_;
  std::mt19937_64 random_;
  agent::State state_;
  mqtt::Session session_;
  std::vector<mqtt::ClientEvent> received_;  // not yet handled
  Connection connection_;
  bool needs_connection_ = false;
  bool connecting_ = false;
  std::uint64_t dropped_ = 0;  // dropped messages of the session that are already counted
  Time began_;
  Time next_care_;
  std::map<AttemptKey, Run> runs_;
  double celsius_ = 50;
};

}  // namespace edgefleet::load
