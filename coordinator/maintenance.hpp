// The commands for the data directory: backup, restore, check.
#pragma once

#include <optional>
#include <string>

#include "common/runtime/configuration.hpp"
#include "coordinator/access/fleet_restore.hpp"

namespace edgefleet::coordinator {

class Maintenance {
 public:
  // `data` is read when a command runs.
  Maintenance(Configuration& configuration, const std::string& data);
  // No value: no such command was given. Otherwise the exit code: 0 success, 1 a problem.
  std::optional<int> run();

 private:
  int back_up() const;
  int restore() const;
  int check() const;
  // Adds what the fleet is to a backup's folder. The line to print about it; empty: there was no setup.
  [[nodiscard]] Result<std::string> seal_fleet(const std::string& folder) const;
  // What the backup has of a fleet. No value: nothing, or it is not wanted.
  [[nodiscard]] Result<std::optional<FleetCopy>> open_fleet() const;

  const std::string& data_;
  std::string to_;
  std::string from_;
  std::string recovery_key_file_;
  bool force_ = false;
  bool tasks_only_ = false;
  CLI::App* back_up_ = nullptr;
  CLI::App* restore_ = nullptr;
  CLI::App* check_ = nullptr;
};

}  // namespace edgefleet::coordinator
