// Reads at intervals, on a thread of its own, what may block: the free space of a file system, the GPUs' drivers.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/core/agent.hpp"
#include "common/core/time.hpp"

namespace edgefleet::agent {

struct MachineReading {
  std::string address;
  std::uint64_t free_disk_bytes = 0;  // 0: unknown
  std::vector<GpuInfo> gpus;
  std::vector<std::optional<double>> gpu_celsius;  // in the order of `gpus`
  friend bool operator==(const MachineReading&, const MachineReading&) = default;
};

class MachineWatch {
 public:
  struct Options {
    std::string sys = "/sys";
    std::string work = ".";    // the folder whose free space counts
    std::string broker_host;  // for the address; see own_address
    // The first of these that exists is asked for its GPUs; it may hang as its driver does.
    std::vector<std::string> nvidia_smi{"/usr/bin/nvidia-smi", "/usr/lib/wsl/lib/nvidia-smi"};
    Duration interval = heartbeat_interval;
    Duration nvidia_interval = std::chrono::seconds(30);
    Duration nvidia_longest = std::chrono::seconds(5);
    Duration nvidia_pause = std::chrono::minutes(10);  // after it failed twice
  };
  using OnReading = std::function<void(MachineReading)>;  // on the watch's thread

  // Reads at once, and then at each interval.
  MachineWatch(Options options, OnReading on_reading);

 private:
  void watch(const std::stop_token& stop);

  Options options_;
  OnReading on_reading_;
  std::mutex mutex_;
  std::condition_variable_any stopped_;
  std::jthread thread_;  // last: it uses the rest
};

}  // namespace edgefleet::agent
