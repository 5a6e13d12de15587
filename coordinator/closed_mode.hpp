// The shell of a fleet after setup: what the loop and the HTTP server need for it.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/http_server/server.hpp"
#include "coordinator/access/admission.hpp"
#include "coordinator/access/closed_fleet.hpp"
#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator {

// What the loop leaves to maintain(), because it waits for the broker or a disk.
class LeftWork {
 public:
  struct Work {
    // A list of revoked certificates that the broker has kept. Only the last one: their numbers rise.
    std::optional<std::string> list;
    // An agent that was not heard until now, because it was not enrolled: it is to connect and announce itself again.
    std::vector<std::string> unheard;
    // Agents that have sent something although their certificate has ended: an end does not end a session.
    std::set<std::string> ended;
  };
  void add_list(const std::string& pem);
  void add_unheard(const AgentName& agent);
  void add_ended(const AgentName& agent);
  // Blocks for `patience` at most, and until `stop`.
  Work next(const std::stop_token& stop, Duration patience);

 private:
  static constexpr std::size_t most_unheard = 1000;  // of each kind
  std::mutex mutex_;
  std::condition_variable_any added_;
  Work work_;
};

// The broker as the coordinator of this fleet reaches it, with its certificates, and who may submit what. `knows`: on
// the loop's thread.
void take_setup(Loop::Options& options, ClosedFleet& closed, LeftWork& work, Admission::Knows knows);

// Forgets ephemeral agents that have stopped, or were not heard of for ten minutes. Only on one thread, not the loop's.
class EphemeralAgents {
 public:
  static constexpr Duration longest_silence = std::chrono::minutes(10);

  EphemeralAgents(ClosedFleet& closed, Loop& loop) : closed_(closed), loop_(loop) {}
  void look(Time now);

 private:
  void forget(const std::string& name);

  ClosedFleet& closed_;
  Loop& loop_;
  std::map<std::string, Time> silent_since_;
};

// The operation behind `edgefleet agents revoke`: certificate, session, tasks, retained messages; about a second, ten
// at most.
std::function<Status(const std::string& who, const std::string& agent, const std::string& serial)> revoker(
    ClosedFleet& closed, Loop& loop, mqtt::Options broker);
// After a join: the broker's files, and the end of the session of a machine that had the name; maintain() tries again.
std::function<void(const std::string& agent)> join_settler(ClosedFleet& closed, Loop& loop, mqtt::Options broker);

// The port of agents. Returns its address.
Result<http_server::ListenAddress> listen_for_agents(http_server::Server& server, const Parts& parts);
// TLS of the port of people and programs.
Result<std::shared_ptr<http_server::Tls>> people_tls(const ClosedFleet& closed);

// Renews certificates and ends what has expired, once a minute, and takes over lists that are newer than our data,
// until it is stopped.
void maintain(const std::stop_token& stop, ClosedFleet& closed, Loop& loop, const mqtt::Options& broker,
              LeftWork& work);

}  // namespace edgefleet::coordinator
