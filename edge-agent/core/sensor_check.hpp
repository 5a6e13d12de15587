// Which readings of the board's sensors are plausible. Pure: all zones in, one temperature and a problem out.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/core/time.hpp"

namespace edgefleet::agent {

struct ZoneReading {
  std::string name;               // "thermal_zone0 (cpu-thermal)"
  bool cpu = true;                // of the processor, or of an unknown kind
  std::optional<double> value;    // as it reads; none: its content is not a number
  std::string text;               // its content then; for people
};

// The kernel's interface demands millidegrees, but some drivers tell whole degrees.
enum class ZoneUnit { unknown, millidegrees, degrees };

class SensorCheck {
 public:
  struct Verdict {
    std::optional<double> celsius;  // of the hottest zone with a plausible reading
    std::string sensor;             // its name, and its unit if that is not the kernel's
    std::string notice;             // of the unit of a zone, when it was found out
    std::string problem;            // empty: none, also if there is no sensor
    bool expected = false;          // the processor has, or had, a sensor
  };

  // `load`: of all CPUs; 1: all of them are busy.
  Verdict judge(const std::vector<ZoneReading>& zones, double load, Time now);

 private:
  struct Zone {
    bool cpu = true;
    ZoneUnit unit = ZoneUnit::unknown;
    std::optional<double> good;     // the last plausible one
    Time good_at;
    std::optional<double> strange;  // the value after an implausible jump
    Time strange_at;
    int agreeing = 0;               // consecutive readings near that value
    std::optional<double> same;     // it has had exactly this value
    Time same_since;                // since then,
    double least_load = 0;          // while the load went from
    double most_load = 0;           // to
  };
  static std::string doubt(Zone& zone, double celsius, double load, Time now);
  static std::string doubt(Zone& zone, const ZoneReading& reading, double load, Time now);
  static std::string doubt_jump(Zone& zone, double celsius, Time now);
  static bool stands_still(Zone& zone, double celsius, double load, Time now);

  std::map<std::string, Zone> zones_;
};

}  // namespace edgefleet::agent
