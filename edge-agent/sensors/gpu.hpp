// The machine's GPUs: those of the kernel's graphics drivers, and those that only nvidia-smi describes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/agent.hpp"

namespace edgefleet::agent {

struct GpuReading {
  GpuInfo info;
  std::optional<double> celsius;
  bool nvidia = false;
};

// Cards with a render node below `sys`/class/drm; at most limits::gpus, sorted by name of the card.
std::vector<GpuReading> gpus_of_kernel(const std::string& sys);

// The answer to these arguments; lines that cannot be read are left out.
inline constexpr std::string_view nvidia_query = "--query-gpu=name,memory.total,temperature.gpu";
inline constexpr std::string_view nvidia_format = "--format=csv,noheader,nounits";
std::vector<GpuReading> gpus_of_nvidia(std::string_view answer);

// What nvidia-smi says replaces what the kernel says of the same vendor's cards.
std::vector<GpuReading> joined(std::vector<GpuReading> kernel, const std::vector<GpuReading>& nvidia);

}  // namespace edgefleet::agent
