// Whom a task is of. A record's submitter tells how the task came; a client is who shares the fleet with others and
// has quotas. Several submitters may be one client.
#pragma once

#include <string_view>

namespace edgefleet::coordinator {

// Everybody on this machine, before there are accesses.
inline constexpr std::string_view local_client = "http";
// Submitter of tasks whose client waits on an open connection: this, or `present:NAME` with its access.
inline constexpr std::string_view present_client = "present";

constexpr bool is_present(std::string_view submitter) {
  if (!submitter.starts_with(present_client)) return false;
  return submitter.size() == present_client.size() || submitter[present_client.size()] == ':';
}

// The client: `alice` for `present:alice`.
constexpr std::string_view client_of(std::string_view submitter) {
  if (!is_present(submitter)) return submitter;
  return submitter.size() == present_client.size() ? local_client : submitter.substr(present_client.size() + 1);
}

}  // namespace edgefleet::coordinator
