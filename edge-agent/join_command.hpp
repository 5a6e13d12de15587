// The command `edgefleet-agent join`, and the join token that a deployment leaves on the boot partition.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/runtime/configuration.hpp"
#include "edge-agent/identity/identity.hpp"
#include "edge-agent/shell/settings.hpp"

namespace edgefleet::agent {

// Taken out of this program's own command line and environment before anything else, so that `ps` shows it no more.
struct TokenText {
  std::string text;
  std::vector<const char*> arguments;  // without it; for the parser
};
TokenText take_token(int argc, char** argv);

class JoinCommand {
 public:
  // `settings` are read when the command runs.
  explicit JoinCommand(const Settings& settings) : settings_(settings) {}
  void declare(Configuration& configuration);
  [[nodiscard]] bool given() const { return given_; }  // after the configuration was read
  // The exit code. `token`: of the command line or the environment; empty: none.
  int run(const std::string& token);

 private:
  [[nodiscard]] Result<Identity> join(const std::string& token, const std::stop_token& stop) const;

  const Settings& settings_;
  bool given_ = false;
  std::string address_;
  std::string token_file_;
  std::string token_{};  // only for --help: it is taken before the parser sees it
  bool again_ = false;
};

// At the start of an agent that has not joined: with the token in one of these files, which is erased after that. No
// value: there is no such file.
Result<std::optional<Identity>> join_from_boot_file(const Settings& settings, const std::stop_token& stop);

}  // namespace edgefleet::agent
