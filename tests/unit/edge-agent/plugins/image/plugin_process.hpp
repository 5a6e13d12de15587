// A plug-in as the agent runs it: a child that exchanges lines of JSON.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace edgefleet::image::test {

class PluginProcess {
 public:
  explicit PluginProcess(std::vector<std::string> argv);
  ~PluginProcess();
  PluginProcess(const PluginProcess&) = delete;
  PluginProcess& operator=(const PluginProcess&) = delete;

  void send(const nlohmann::json& message) { send_bytes(message.dump() + "\n"); }
  void send_bytes(const std::string& bytes);
  // The next line; fails the test after ten seconds.
  nlohmann::json next();
  // The next line of that type; the ones before it are dropped.
  nlohmann::json next_of(const std::string& type);

  void close_stdin();
  int wait_for_exit();  // the exit code; fails the test after ten seconds
  [[nodiscard]] std::vector<pid_t> children() const;
  void bound_address_space(std::uint64_t bytes) const;  // in addition to what it has
  [[nodiscard]] double address_space_bound() const;  // bytes; fails the test if there is none

 private:
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  std::string pending_;
};

}  // namespace edgefleet::image::test
