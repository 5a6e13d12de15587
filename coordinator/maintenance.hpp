// The commands for the data directory: backup, restore, check.
#pragma once

#include <optional>
#include <string>

#include "common/runtime/configuration.hpp"

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

  const std::string& data_;
  std::string to_;
  std::string from_;
  bool force_ = false;
  CLI::App* back_up_ = nullptr;
  CLI::App* restore_ = nullptr;
  CLI::App* check_ = nullptr;
};

}  // namespace edgefleet::coordinator
