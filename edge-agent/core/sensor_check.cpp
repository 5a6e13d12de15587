#include "edge-agent/core/sensor_check.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <set>

namespace edgefleet::agent {
namespace {

// The plausible range of a processor's sensor. Boards rated for -40 to 85 C switch off far below the upper end.
constexpr double coldest = -30;
constexpr double hottest = 130;
// The largest plausible difference between two readings: a Pi's chip jumps by 10 to 15 degrees within seconds when all
// cores start to work, a PC's by 40. A larger jump is an error unless the next readings confirm it.
constexpr double jump_at_once = 40;
constexpr double jump_per_second = 2;
constexpr int readings_that_confirm = 3;
// An idle board may have a constant reading for long. One whose load has changed by half its cores cannot.
constexpr Duration still_for = std::chrono::minutes(5);
constexpr double load_changed = 0.5;
// A value below this is no plausible temperature of a processor in millidegrees, unless the zone has shown that unit
// before; one up to `hottest` is plausible in degrees.
constexpr double least_millidegrees = 1000;
constexpr std::size_t most_zones = 64;
constexpr std::size_t most_problems = 3;

std::string degrees(double celsius) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f C", celsius);
  return text.data();
}

bool plausible(double celsius) { return celsius >= coldest && celsius <= hottest; }

// A zone keeps its unit while that gives plausible temperatures. Zero is the same in both.
ZoneUnit unit_of(double value, ZoneUnit known) {
  if (known == ZoneUnit::millidegrees || value == 0) return known;
  if (known == ZoneUnit::degrees && plausible(value)) return known;
  if (std::abs(value) >= least_millidegrees) return ZoneUnit::millidegrees;
  return plausible(value) ? ZoneUnit::degrees : known;
}

double celsius_of(double value, ZoneUnit unit) { return unit == ZoneUnit::degrees ? value : value / 1000; }

bool too_far(double from, double to, Duration between) {
  return std::abs(to - from) > jump_at_once + jump_per_second * std::chrono::duration<double>(between).count();
}

std::string joined(const std::vector<std::string>& problems) {
  std::string text;
  for (std::size_t i = 0; i < std::min(problems.size(), most_problems); ++i) {
    text += (i == 0 ? "" : "; ") + problems[i];
  }
  if (problems.size() > most_problems) text += "; and " + std::to_string(problems.size() - most_problems) + " more";
  return text;
}

}  // namespace

std::string SensorCheck::doubt_jump(Zone& zone, double celsius, Time now) {
  const bool jumped = zone.good && too_far(*zone.good, celsius, now - zone.good_at);
  if (!jumped) {
    zone.agreeing = 0;
    zone.strange.reset();
    return {};
  }
  const bool agrees = zone.strange && !too_far(*zone.strange, celsius, now - zone.strange_at);
  zone.agreeing = agrees ? zone.agreeing + 1 : 1;
  zone.strange = celsius;
  zone.strange_at = now;
  if (zone.agreeing >= readings_that_confirm) return {};
  return "jumped from " + degrees(*zone.good) + " to " + degrees(celsius);
}

bool SensorCheck::stands_still(Zone& zone, double celsius, double load, Time now) {
  if (zone.same != celsius) {
    zone.same = celsius;
    zone.same_since = now;
    zone.least_load = zone.most_load = load;
    return false;
  }
  zone.least_load = std::min(zone.least_load, load);
  zone.most_load = std::max(zone.most_load, load);
  return now - zone.same_since >= still_for && zone.most_load - zone.least_load >= load_changed;
}

// Why this reading is not plausible; empty: it is.
std::string SensorCheck::doubt(Zone& zone, double celsius, double load, Time now) {
  if (!plausible(celsius)) return "reads " + degrees(celsius) + ", which is impossible";
  if (stands_still(zone, celsius, load, now)) {
    return "has read exactly " + degrees(celsius) + " for minutes while the load changed";
  }
  return doubt_jump(zone, celsius, now);
}

std::string SensorCheck::doubt(Zone& zone, const ZoneReading& reading, double load, Time now) {
  if (!reading.value || std::isnan(*reading.value)) return "reads \"" + reading.text + "\", which is not a number";
  zone.unit = unit_of(*reading.value, zone.unit);
  const bool unclear = zone.unit == ZoneUnit::unknown && *reading.value != 0;
  if (unclear) return "reads " + reading.text + ", which is plausible neither in millidegrees nor in degrees";
  const double celsius = celsius_of(*reading.value, zone.unit);
  if (auto why = doubt(zone, celsius, load, now); !why.empty()) return why;
  zone.good = celsius;
  zone.good_at = now;
  return {};
}

SensorCheck::Verdict SensorCheck::judge(const std::vector<ZoneReading>& readings, double load, Time now) {
  std::set<std::string> there;
  for (const ZoneReading& reading : readings) {
    if (zones_.count(reading.name) == 0 && zones_.size() >= most_zones) continue;
    zones_[reading.name].cpu = reading.cpu;
    there.insert(reading.name);
  }
  // If the processor has a sensor, the others (of a battery, of the Wi-Fi, of unknown parts) do not count.
  Verdict verdict;
  for (const auto& [name, zone] : zones_) verdict.expected = verdict.expected || zone.cpu;
  std::vector<std::string> problems;
  for (const auto& [name, zone] : zones_) {
    if (zone.cpu && there.count(name) == 0) problems.push_back("sensor " + name + " has disappeared");
  }
  for (const ZoneReading& reading : readings) {
    if (there.count(reading.name) == 0 || reading.cpu != verdict.expected) continue;
    Zone& zone = zones_.at(reading.name);
    const ZoneUnit before = zone.unit;
    if (auto why = doubt(zone, reading, load, now); !why.empty()) {
      if (zone.cpu) problems.push_back("sensor " + reading.name + ' ' + why);
      continue;
    }
    if (zone.unit == ZoneUnit::degrees && before != zone.unit) {
      verdict.notice = "sensor " + reading.name + " tells whole degrees: its " + reading.text + " is taken for " +
                       std::to_string(std::lround(*zone.good)) + " C";
    }
    if (verdict.celsius && *verdict.celsius >= *zone.good) continue;
    verdict.celsius = zone.good;
    verdict.sensor = reading.name + (zone.unit == ZoneUnit::degrees ? ", which tells whole degrees" : "");
  }
  verdict.problem = joined(problems);
  return verdict;
}

}  // namespace edgefleet::agent
