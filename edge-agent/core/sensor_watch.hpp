// Which readings of the board's sensors can be believed. Pure: all zones in, one temperature and a complaint out.
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
  std::optional<double> celsius;  // none: what it says is not a number
  std::string text;               // what it says then; for people
};

class SensorWatch {
 public:
  struct Verdict {
    std::optional<double> celsius;  // of the hottest zone that is believed
    std::string sensor;             // its name
    std::string problem;            // empty: all is well, which it also is without any sensor
    bool expected = false;          // there is, or has been, a sensor of the processor
  };

  // `load`: of all CPUs, 1 is all of them busy.
  Verdict judge(const std::vector<ZoneReading>& zones, double load, Time now);

 private:
  struct Zone {
    bool cpu = true;
    std::optional<double> good;     // last one that was believed
    Time good_at;
    std::optional<double> strange;  // it jumped there
    Time strange_at;
    int agreeing = 0;               // readings there, one after the other
    std::optional<double> same;     // it has said exactly this
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
