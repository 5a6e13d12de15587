// Whom a task is of. A record's submitter tells how the task came; a client is who shares the fleet with others and
// has quotas. Several submitters may be one client.
#pragma once

#include <string_view>

namespace edgefleet::coordinator {

// Everybody on this machine, before there are accesses.
inline constexpr std::string_view local_client = "http";
// Submitter of tasks whose client waits on an open connection: this, or `present:NAME` with its access.
inline constexpr std::string_view present_client = "present";
// An access for one program at the broker is named `NAME-mqtt-` and four letters, after the access that made it.
inline constexpr std::string_view mqtt_infix = "-mqtt-";
inline constexpr std::size_t mqtt_letters = 4;

constexpr bool is_present(std::string_view submitter) {
  if (!submitter.starts_with(present_client)) return false;
  return submitter.size() == present_client.size() || submitter[present_client.size()] == ':';
}

// `alice` for `present:alice`.
constexpr std::string_view access_of(std::string_view submitter) {
  if (!is_present(submitter)) return submitter;
  return submitter.size() == present_client.size() ? local_client : submitter.substr(present_client.size() + 1);
}

// `alice` for `present:alice` and `alice-mqtt-x1y2`.
constexpr std::string_view client_of(std::string_view submitter) {
  const std::string_view access = access_of(submitter);
  constexpr std::size_t ending = mqtt_infix.size() + mqtt_letters;
  if (access.size() <= ending) return access;
  const std::size_t rest = access.size() - ending;
  return access.substr(rest, mqtt_infix.size()) == mqtt_infix ? access.substr(0, rest) : access;
}

}  // namespace edgefleet::coordinator
