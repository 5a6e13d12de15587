#include "edge-agent/sensors/temperature.hpp"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace edgefleet::agent {
namespace {

constexpr double coldest = -30;
constexpr double hottest = 130;
constexpr const char* throttled_file = "/devices/platform/soc/soc:firmware/get_throttled";

std::optional<std::string> first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

}  // namespace

std::optional<double> Thermometer::celsius() const {
  std::optional<double> highest;
  std::error_code failure;
  for (std::filesystem::directory_iterator zone(sys_ + "/class/thermal", failure), end; !failure && zone != end;
       zone.increment(failure)) {
    if (zone->path().filename().string().rfind("thermal_zone", 0) != 0) continue;
    const auto text = first_line(zone->path().string() + "/temp");
    if (!text) continue;
    char* rest = nullptr;
    const double celsius = std::strtod(text->c_str(), &rest) / 1000;
    if (rest == text->c_str() || !(celsius >= coldest && celsius <= hottest)) continue;
    if (!highest || celsius > *highest) highest = celsius;
  }
  return highest;
}

std::vector<std::string> Thermometer::throttled() const {
  const auto text = first_line(sys_ + throttled_file);
  if (!text) return {};
  return spell_throttled(static_cast<unsigned>(std::strtoul(text->c_str(), nullptr, 16)));
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
