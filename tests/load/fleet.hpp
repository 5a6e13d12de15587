// Thousands of simulated agents on one thread: an epoll over their connections, and the time of each next turn.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/load/agent.hpp"

namespace edgefleet::load {

// An agent, with the files of its certificate if it is one of a closed fleet.
struct Who {
  AgentName name;
  mqtt::TlsFiles tls{};
};

class Fleet {
 public:
  Fleet(const Setting& setting, const std::vector<Who>& agents, std::uint64_t seed);
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;
  Fleet(Fleet&&) = delete;
  Fleet& operator=(Fleet&&) = delete;
  ~Fleet();

  // Runs until `stop`; `report` is called every second.
  void run(const std::atomic<bool>& stop, const std::function<void()>& report);
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // The longest delay of a turn since the last call: the part of the measured times that the driver itself causes.
  Duration take_lag() { return std::exchange(lag_, Duration{0}); }

 private:
  struct Member {
    explicit Member(SimulatedAgent& one) : agent(one) {}
    SimulatedAgent& agent;
    std::uint64_t watched = 0;  // number of the connect whose socket is watched
    bool for_writing = false;
    bool connecting = false;
    bool waiting = false;  // for a connection
    Time wake = Time::max();
  };

  void connect_more();
  void wait(Time until);
  void handle(std::size_t index, std::uint32_t events);
  void turn(std::size_t index, Time now);
  void watch(std::size_t index);

  Counters counters_;
  Library library_;
  std::vector<std::unique_ptr<SimulatedAgent>> agents_;
  std::vector<Member> members_;
  std::set<std::pair<Time, std::size_t>> wakes_;
  std::deque<std::size_t> waiting_;  // for a connection
  std::size_t connecting_ = 0;
  Duration lag_{0};
  int epoll_;
};

}  // namespace edgefleet::load
