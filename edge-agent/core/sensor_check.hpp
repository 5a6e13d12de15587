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
  std::optional<double> celsius;  // none: its content is not a number
  std::string text;               // its content then; for people
};

class SensorCheck {
 public:
  struct Verdict {
    std::optional<double> celsius;  // of the hottest zone with a plausible reading
    std::string sensor;             // its name
    std::string problem;            // empty: none, also if there is no sensor
    bool expected = false;          // the processor has, or had, a sensor
  };

  // `load`: of all CPUs; 1: all of them are busy.
  Verdict judge(const std::vector<ZoneReading>& zones, double load, Time now);

 private:
  struct Zone {
    bool cpu = true;
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
  static std::string doubt(Zone& zone, const ZoneReading& reading, double load, Time now);
  static std::string doubt_jump(Zone& zone, double celsius, Time now);
  static bool stands_still(Zone& zone, double celsius, double load, Time now);

  std::map<std::string, Zone> zones_;
};

}  // namespace edgefleet::agent
