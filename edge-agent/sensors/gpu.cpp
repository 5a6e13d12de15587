#include "edge-agent/sensors/gpu.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "common/core/trimmed.hpp"
#include "common/core/utf8.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t mib = 1024 * 1024;
constexpr std::string_view vendor_nvidia = "0x10de";

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return without_controls(cut_front(line, limits::name_bytes));
}

template <typename Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto* end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, value);
  if (failure != std::errc() || stop != end) return std::nullopt;
  return value;
}

std::vector<fs::path> entries(const fs::path& in, std::string_view prefix) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator entry(in, failure), end; !failure && entry != end; entry.increment(failure)) {
    const auto name = entry->path().filename().string();
    const bool connector = name.find('-') != std::string::npos;  // card0-HDMI-A-1
    if (name.starts_with(prefix) && !connector) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// "DRIVER=amdgpu" in the device's uevent.
std::string driver_of(const fs::path& device) {
  std::ifstream file(device / "uevent");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("DRIVER=")) return without_controls(cut_front(std::string_view(line).substr(7), 64));
  }
  return {};
}

std::optional<double> celsius_of(const fs::path& device) {
  for (const auto& sensor : entries(device / "hwmon", "hwmon")) {
    const auto thousandths = number<std::int64_t>(first_line(sensor / "temp1_input"));
    if (thousandths) return static_cast<double>(*thousandths) / 1000;
  }
  return std::nullopt;
}

GpuReading read_card(const fs::path& device) {
  GpuReading gpu;
  gpu.info.name = first_line(device / "product_name");
  if (gpu.info.name.empty()) gpu.info.name = driver_of(device);
  gpu.info.memory_bytes = number<std::uint64_t>(first_line(device / "mem_info_vram_total")).value_or(0);
  gpu.celsius = celsius_of(device);
  gpu.nvidia = first_line(device / "vendor") == vendor_nvidia;
  return gpu;
}

// "NVIDIA GeForce RTX 3060, 12288, 45". A name may have a comma, the numbers may be "[N/A]".
std::optional<GpuReading> read_nvidia(std::string_view line) {
  const auto second = line.rfind(',');
  const auto first = second == std::string_view::npos || second == 0 ? second : line.rfind(',', second - 1);
  if (first == std::string_view::npos) return std::nullopt;
  GpuReading gpu;
  gpu.nvidia = true;
  gpu.info.name = without_controls(cut_front(trimmed(line.substr(0, first)), limits::name_bytes));
  const auto memory = number<std::uint64_t>(trimmed(line.substr(first + 1, second - first - 1)));
  gpu.info.memory_bytes = std::min(memory.value_or(0), UINT64_MAX / mib) * mib;
  gpu.celsius = number<double>(trimmed(line.substr(second + 1)));
  if (gpu.info.name.empty()) return std::nullopt;
  return gpu;
}

}  // namespace

std::vector<GpuReading> gpus_of_kernel(const std::string& sys) {
  std::vector<GpuReading> all;
  for (const auto& card : entries(fs::path(sys) / "class/drm", "card")) {
    const fs::path device = card / "device";
    // A card without a render node only drives a display.
    if (entries(device / "drm", "renderD").empty()) continue;
    if (all.size() < limits::gpus) all.push_back(read_card(device));
  }
  return all;
}

std::vector<GpuReading> gpus_of_nvidia(std::string_view answer) {
  std::vector<GpuReading> all;
  while (!answer.empty() && all.size() < limits::gpus) {
    const auto end = std::min(answer.find('\n'), answer.size());
    if (auto gpu = read_nvidia(answer.substr(0, end))) all.push_back(std::move(*gpu));
    answer.remove_prefix(std::min(end + 1, answer.size()));
  }
  return all;
}

std::vector<GpuReading> joined(std::vector<GpuReading> kernel, const std::vector<GpuReading>& nvidia) {
  if (!nvidia.empty()) std::erase_if(kernel, [](const GpuReading& gpu) { return gpu.nvidia; });
  kernel.insert(kernel.end(), nvidia.begin(), nvidia.end());
  kernel.resize(std::min(kernel.size(), limits::gpus));
  return kernel;
}

}  // namespace edgefleet::agent
