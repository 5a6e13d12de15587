// The command `setup`: makes a fleet that nobody uses without a credential.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/runtime/configuration.hpp"
#include "coordinator/access/closed_fleet.hpp"

namespace edgefleet::coordinator {

class SetupCommand {
 public:
  // `data` and `fleet` are read when the command runs.
  SetupCommand(Configuration& configuration, const std::string& data, const std::string& fleet);
  // No value: the command was not given. Otherwise the exit code.
  std::optional<int> run();

 private:
  Status set_up() const;
  Status remove() const;
  Status say_plan(const Setup& setup) const;
  [[nodiscard]] Result<pki::Authority> authority(const Setup& setup) const;
  [[nodiscard]] Result<std::string> admin_key(Registry& accesses, const std::vector<std::string>& known) const;
  Status log_in(ClosedFleet& fleet) const;
  [[nodiscard]] Result<Setup> wanted() const;

  const std::string& data_;
  const std::string& fleet_;
  CLI::App* command_ = nullptr;
  std::vector<std::string> names_;
  std::string listen_;
  std::string agents_listen_;
  std::string broker_folder_;
  std::string broker_run_;
  std::string broker_address_;
  std::string broker_host_;
  std::string broker_from_here_;
  int broker_agents_port_ = 0;  // 0: as it was, or the usual one
  int broker_people_port_ = 0;
  std::int64_t certificate_seconds_ = 0;  // 0: as it was
  std::string admin_ = "admin";
  std::string key_file_;
  std::string recovery_key_file_;
  bool new_recovery_key_ = false;
  bool new_ca_ = false;
  bool yes_ = false;
  bool dry_run_ = false;
  bool remove_ = false;
};

}  // namespace edgefleet::coordinator
