// The command `edgefleet-agent join`, and the join token that a deployment leaves on the boot partition.
#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/join/token.hpp"
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
  // The exit code. `token`: of the command line or the environment; empty: none. Blocks; ends on SIGINT and SIGTERM.
  [[nodiscard]] int run(const std::string& token) const;

 private:
  struct Means {
    std::optional<join::Token> token{};  // none: a person accepts a code
  };
  [[nodiscard]] Result<std::string> token_text(const std::string& given) const;
  [[nodiscard]] Result<Means> means(const std::string& given) const;
  [[nodiscard]] Result<Identity> join(const Means& means, const std::string& work, const std::stop_token& stop) const;
  [[nodiscard]] Result<Identity> join_again(const Means& means, const std::stop_token& stop) const;
  [[nodiscard]] Status is_of(const Identity& identity, const std::string& given, const std::stop_token& stop) const;
  // What is said at the end of a success.
  [[nodiscard]] Result<std::string> outcome(const std::string& given, const std::stop_token& stop) const;

  const Settings& settings_;
  bool given_ = false;
  std::string address_;
  std::string token_file_;
  std::string token_{};  // only for --help: it is taken before the parser sees it
  bool again_ = false;
};

// At the start of an agent that has not joined: with `given`, the token of the command line or the environment, or with
// one of the files on the boot partition, which is erased after that. Waits for a coordinator that cannot be reached.
// No value: there is no token.
Result<std::optional<Identity>> join_at_start(const Settings& settings, const std::string& given,
                                              const std::stop_token& stop);
// At the start of an agent that has joined: a run that was killed may have left the file that it joined with.
void erase_boot_files(const Settings& settings, const Identity& identity);

}  // namespace edgefleet::agent
