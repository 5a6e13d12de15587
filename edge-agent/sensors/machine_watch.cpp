#include "edge-agent/sensors/machine_watch.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "common/system/clock.hpp"
#include "edge-agent/sensors/address.hpp"
#include "edge-agent/sensors/bounded_command.hpp"
#include "edge-agent/sensors/gpu.hpp"

namespace edgefleet::agent {
namespace {

std::uint64_t free_bytes(const std::string& folder) {
  struct statvfs space{};
  if (statvfs(folder.c_str(), &space) != 0) return 0;
  return static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
}

// nvidia-smi is asked less often than the rest is read: it takes up to a second of a processor.
class Nvidia {
 public:
  explicit Nvidia(const MachineWatch::Options& options) : options_(options) {}

  const std::vector<GpuReading>& gpus(Time now, const std::stop_token& stop) {
    if (now < next_) return gpus_;
    const auto there = std::find_if(options_.nvidia_smi.begin(), options_.nvidia_smi.end(),
                                    [](const auto& path) { return access(path.c_str(), X_OK) == 0; });
    next_ = now + options_.nvidia_interval;
    if (there == options_.nvidia_smi.end()) return gpus_;
    const auto answer =
        command_.run({*there, std::string(nvidia_query), std::string(nvidia_format)}, options_.nvidia_longest, stop);
    if (answer) {
      gpus_ = gpus_of_nvidia(*answer);
      failures_ = 0;
    } else {
      if (++failures_ > 1) next_ = now + options_.nvidia_pause;
      for (GpuReading& gpu : gpus_) gpu.celsius.reset();
    }
    return gpus_;
  }

 private:
  const MachineWatch::Options& options_;
  BoundedCommand command_;
  std::vector<GpuReading> gpus_;
  int failures_ = 0;  // consecutive
  Time next_{};
};

}  // namespace

MachineWatch::MachineWatch(Options options, OnReading on_reading)
    : options_(std::move(options)),
      on_reading_(std::move(on_reading)),
      thread_([this](const std::stop_token& stop) { watch(stop); }) {}

void MachineWatch::watch(const std::stop_token& stop) {
  Nvidia nvidia(options_);
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const Time now = monotonic_now();
    MachineReading reading{own_address(options_.broker_host), free_bytes(options_.work), {}, {}};
    for (const GpuReading& gpu : joined(gpus_of_kernel(options_.sys), nvidia.gpus(now, stop))) {
      reading.gpus.push_back(gpu.info);
      reading.gpu_celsius.push_back(gpu.celsius);
    }
    if (!stop.stop_requested()) on_reading_(std::move(reading));
    stopped_.wait_for(lock, stop, options_.interval, [] { return false; });
  }
}

}  // namespace edgefleet::agent
