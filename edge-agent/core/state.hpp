// The whole state of a running agent.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/core/token_bucket.hpp"
#include "edge-agent/core/cooling.hpp"
#include "edge-agent/core/effect.hpp"
#include "edge-agent/core/heat.hpp"

namespace edgefleet::agent {

struct Policy {
  // Both together fit the list of one heartbeat.
  int max_tasks = 512;           // waiting and running, over all executors
  std::size_t most_waiting = 256;  // beside one executor's slots
  std::size_t most_results = 1024;  // not yet acknowledged
  std::size_t most_result_bytes = 32 * 1024 * 1024;
  Duration resend_after = std::chrono::seconds(10);
  Duration remember_cancels = std::chrono::minutes(10);
  std::size_t most_cancels = 10'000;
  // SD cards wear: only undeliverable results are written.
  Duration spool_after = std::chrono::seconds(2);  // without the broker or the coordinator
  Duration spool_unacknowledged = std::chrono::seconds(30);  // although both seem to be connected
  Duration stop_grace = std::chrono::seconds(20);  // for running tasks when the agent is stopped
  // The agent's info is published again at times: a coordinator with a full inbox may have missed it.
  Duration introduce_every = std::chrono::minutes(1);
  // Infos on a change: the coordinator ignores more than this, and would learn of the last change a minute later.
  double info_burst = 10;
  Duration info_spacing = std::chrono::seconds(5);
  // Beats on a change of capacity: a few at once, then one per interval.
  double beat_burst = 5;
  Duration beat_spacing = std::chrono::seconds(2);
};

struct Held {
  Capability capability;
  ExecutorName executor;
  HeldPhase phase = HeldPhase::waiting;
  JsonText input;
  std::optional<TextFile> input_at;
  std::uint64_t most_output_bytes = limits::input_bytes;
  Duration timeout{};
  Time started_at;                // running
  Duration frozen_before{0};      // running: Cooling::frozen_for at its start
  bool cancel = false;            // requested
  std::optional<Time> sent_at;    // done: when its result was last sent
  TaskResult result;              // done
  Time done_at;
  std::set<std::string> uploads;  // done: artifacts that the coordinator must have before the result is sent
  bool spooled = false;           // done: the result is on the disk
};

struct ExecutorSlots {
  ExecutorInfo offered;  // by the executor itself; until it has said that, by its predecessor
  ExecutorInfo info;     // with `files_problem`, if it needs files
  std::deque<AttemptKey> waiting;
  int running = 0;
  bool freezes = false;
  bool needs_files = false;
  bool starting = false;  // a changed one: its tasks wait for the first offer of its successor
  bool removed = false;   // it offers nothing, and is here for its runs that are in progress
  Duration worked{0};               // since it last rested
  std::optional<Time> rests_until;  // to cool
};

struct State {
  State(AgentName own_name, SessionId own_session, HeatLimits limits)
      : name(std::move(own_name)), session(std::move(own_session)), heat(limits) {}

  AgentName name;
  SessionId session;
  Policy policy;
  bool link = false;
  Reign reign;
  bool coordinator_online = false;
  std::uint64_t n = 0;  // highest number of a task message of this reign received
  std::map<ExecutorName, ExecutorSlots> executors;
  std::map<AttemptKey, Held> held;
  std::set<AttemptKey> unsent;          // done, and not sent on this connection
  std::map<AttemptKey, Time> cancelled;  // remembered, in case a cancel overtakes its task
  std::size_t results = 0;               // done ones in `held`
  std::size_t result_bytes = 0;
  std::size_t spooled = 0;               // of the results
  std::optional<Time> cut_since;         // since when results cannot be delivered
  bool draining = false;                 // by order of the coordinator
  std::string files_problem;             // why files cannot be fetched and stored; empty: they can, or it is unknown
  std::optional<Time> stop_at;           // stopping: the end of the grace
  bool stopped_rest = false;
  Heat heat;
  Cooling cooling;
  SensorCheck sensors;
  SensorCheck::Verdict sensor;
  std::vector<std::string> throttled;
  std::uint64_t beats = 0;
  Time next_beat;
  Time next_introduction;
  TokenBucket beat_credit;  // for beats on a change of capacity
  TokenBucket info_credit;  // for infos on a change
  bool capacity_changed = false;
  bool info_changed = false;
  std::optional<AgentState> published_status;  // the last one
  std::optional<AgentState> status;            // at the end of the last drain
  Time status_since;
  std::uint64_t succeeded = 0;  // runs since the start
  std::uint64_t failed = 0;
};

// ---- parts that the shell publishes
AgentState status_of(const State& state);
std::map<ExecutorName, int> free_slots(const State& state);
std::vector<ExecutorInfo> offers_of(const State& state);
std::vector<HeldTask> held_list(const State& state, Time now);
Temperature temperature_of(const State& state);

}  // namespace edgefleet::agent
