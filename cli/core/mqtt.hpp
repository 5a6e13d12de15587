// What mosquitto_sub is given, so that it reads the fleet's messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/core/document.hpp"
#include "common/core/result.hpp"

namespace edgefleet::cli {

struct MqttAccess {
  std::string name;  // the user at the broker
  std::string key;   // secret
  std::string role;
  std::string host;
  std::uint64_t port = 0;
  std::string root;  // of the fleet's topics; ends with '/'
  std::string expires_at;
};

// `own`: the answer of GET /api/v1/access; `made`: that of POST /api/v1/access/mqtt. An error unless each part is one
// word that can begin no other option. No error has the key in it.
Result<MqttAccess> mqtt_access_of(const Document& own, const Document& made);

// mosquitto_sub's options file: an option in each line. `ca_file`: empty: the system's authorities. Secret.
std::string options_text(const MqttAccess& access, const std::string& ca_file);

// The arguments of mosquitto_sub; the topics among them are below the root, unless they are complete: they begin with
// `edgefleet/`, `homeassistant/` or `$`.
std::vector<std::string> below_root(std::vector<std::string> arguments, const std::string& root);

// As one word of a POSIX shell.
std::string shell_word(const std::string& text);

}  // namespace edgefleet::cli
