// Who makes a request, and whose tasks are whose.
#pragma once

#include <string>

#include "common/http_server/message.hpp"
#include "coordinator/access/role.hpp"
#include "coordinator/core/submitter.hpp"

namespace edgefleet::coordinator {

// The submitter of a task: the caller's access, or everybody on this machine before there are accesses.
inline std::string submitter_of(const http_server::Principal& caller) {
  return caller.name.empty() ? std::string(local_client) : caller.name;
}
// The same for a task whose client waits for it.
inline std::string present_submitter_of(const http_server::Principal& caller) {
  const std::string present(present_client);
  return caller.name.empty() ? present : present + ":" + caller.name;
}

// Whether the caller sees and changes only what it has submitted itself.
inline bool sees_own_only(const http_server::Principal& caller) {
  const auto role = parse_role(caller.role);
  return !role || !sees_all_tasks(*role);
}
inline bool may_see(const http_server::Principal& caller, const std::string& submitter) {
  return !sees_own_only(caller) || submitter == submitter_of(caller) || submitter == present_submitter_of(caller);
}

}  // namespace edgefleet::coordinator
