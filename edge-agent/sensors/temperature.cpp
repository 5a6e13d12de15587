#include "edge-agent/sensors/temperature.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;

constexpr unsigned undervoltage_now = 1U << 0U;
constexpr unsigned now_bits = 0xF;
constexpr unsigned since_boot_shift = 16;
constexpr std::size_t longest_text = 40;

std::optional<std::string> first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

std::string printable(std::string text) {
  text.resize(std::min(text.size(), longest_text));
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c > 0x7E; }, '?');
  return text;
}

std::vector<fs::path> folders(const fs::path& in, const std::string& prefix) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator entry(in, failure), end; !failure && entry != end; entry.increment(failure)) {
    if (entry->path().filename().string().starts_with(prefix)) found.push_back(entry->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

ThermalZone read_zone(const fs::path& folder, const std::string& line) {
  ThermalZone zone;
  const auto type = first_line(folder / "type");
  zone.name = folder.filename().string() + (type ? " (" + printable(*type) + ")" : "");
  zone.cpu = !type || of_processor(*type);
  zone.text = printable(line);
  char* rest = nullptr;
  const double value = std::strtod(line.c_str(), &rest);
  if (rest != line.c_str() && *rest == '\0' && value == value) zone.value = value;
  return zone;
}

}  // namespace

bool of_processor(const std::string& zone_type) {
  std::string type = zone_type;
  std::transform(type.begin(), type.end(), type.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::array<const char*, 5> words{"cpu", "soc", "core", "pkg", "package"};
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return type.find(word) != std::string::npos; });
}

// A zone whose file cannot be read counts as absent: drivers report this while a sensor is off.
std::vector<ThermalZone> Thermometer::zones() const {
  std::vector<ThermalZone> all;
  for (const auto& folder : folders(sys_ + "/class/thermal", "thermal_zone")) {
    if (const auto line = first_line(folder / "temp")) all.push_back(read_zone(folder, *line));
  }
  return all;
}

// Raspberry Pi's kernels: the firmware's node is in `soc` (Pi 0 to 4) or `soc@107c000000` (Pi 5), and the file has
// hexadecimal digits without 0x. https://github.com/raspberrypi/linux/pull/2397
unsigned Thermometer::firmware_flags() const {
  for (const auto& soc : folders(sys_ + "/devices/platform", "soc")) {
    const std::string node = soc.filename().string() + ":firmware";
    if (const auto text = first_line(soc / node / "get_throttled")) {
      return static_cast<unsigned>(std::strtoul(text->c_str(), nullptr, 16));
    }
  }
  return 0;
}

// All kernels since 4.19: the hwmon device `rpi_volt`, which reports only the voltage.
// https://docs.kernel.org/hwmon/raspberrypi-hwmon.html
bool Thermometer::undervoltage_alarm() const {
  for (const auto& device : folders(sys_ + "/class/hwmon", "hwmon")) {
    if (first_line(device / "name") == "rpi_volt") return first_line(device / "in0_lcrit_alarm") == "1";
  }
  return false;
}

std::vector<std::string> Thermometer::throttled() {
  unsigned flags = firmware_flags();
  if (undervoltage_alarm()) flags |= undervoltage_now;
  seen_ |= (flags & now_bits) << since_boot_shift | (flags & now_bits << since_boot_shift);
  return spell_throttled((flags & now_bits) | seen_);
}

std::vector<std::string> spell_throttled(unsigned flags) {
  struct Flag {
    unsigned bit;
    const char* name;
  };
  constexpr std::array<Flag, 8> all{{{0, "undervoltage now"},
                                     {1, "frequency capped now"},
                                     {2, "throttled now"},
                                     {3, "soft temperature limit now"},
                                     {16, "undervoltage since boot"},
                                     {17, "frequency capped since boot"},
                                     {18, "throttled since boot"},
                                     {19, "soft temperature limit since boot"}}};
  std::vector<std::string> names;
  for (const auto& [bit, name] : all) {
    if ((flags >> bit) & 1U) names.emplace_back(name);
  }
  return names;
}

}  // namespace edgefleet::agent
