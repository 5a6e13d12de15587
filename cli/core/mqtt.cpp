#include "cli/core/mqtt.hpp"

#include <algorithm>
#include <array>

namespace edgefleet::cli {
namespace {

constexpr std::size_t longest_value = 256;
constexpr std::uint64_t last_port = 65535;

constexpr std::array<std::string_view, 6> before_topic = {"-t", "--topic", "-T", "--filter-out", "-U", "--unsubscribe"};
constexpr std::array<std::string_view, 3> complete = {"edgefleet/", "homeassistant/", "$"};

// A line end would begin another option, and so would a minus sign for some programs.
bool is_value(const std::string& text) {
  return !text.empty() && text.size() <= longest_value && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

// It is also the name of a folder.
bool is_name(const std::string& text) { return is_value(text) && text.find_first_of("/.") == std::string::npos; }

}  // namespace

Result<MqttAccess> mqtt_access_of(const Document& own, const Document& made) {
  const auto& mqtt = member_of(own, "mqtt");
  MqttAccess access{text_of(made, "name"),  text_of(made, "key"),  text_of(made, "role"),      text_of(mqtt, "host"),
                    count_of(mqtt, "port"), text_of(mqtt, "root"), text_of(made, "expires_at")};
  const bool place = is_value(access.host) && access.port > 0 && access.port <= last_port && is_value(access.root) &&
                     access.root.ends_with('/');
  if (place && is_name(access.name) && is_value(access.key)) return access;
  return Error{"the answer has no access to a broker: it is not from a coordinator after setup; check the URL"};
}

std::string options_text(const MqttAccess& access, const std::string& ca_file) {
  return "-h " + access.host + "\n-p " + std::to_string(access.port) +
         (ca_file.empty() ? "\n--tls-use-os-certs" : "\n--cafile " + ca_file) + "\n-V mqttv5\n-u " + access.name +
         "\n-P " + access.key + "\n";
}

std::vector<std::string> below_root(std::vector<std::string> arguments, const std::string& root) {
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (std::ranges::find(before_topic, arguments[i - 1]) == before_topic.end()) continue;
    const auto begins = [&](std::string_view prefix) { return arguments[i].starts_with(prefix); };
    if (std::ranges::none_of(complete, begins)) arguments[i].insert(0, root);
    ++i;  // a topic named like an option is not one
  }
  return arguments;
}

std::string shell_word(const std::string& text) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_./:@%+,").find(c) != std::string_view::npos;
  };
  if (!text.empty() && std::ranges::all_of(text, plain)) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace edgefleet::cli
