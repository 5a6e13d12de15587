#include "coordinator/access/permission.hpp"

#include <string>

#include "common/core/questions.hpp"
#include "coordinator/access/patterns.hpp"

namespace edgefleet::coordinator {
namespace {

// What changes a machine must be allowed by name.
bool needs_a_name(std::string_view capability) {
  return capability.starts_with("command.") || (capability.starts_with("llm.") && !is_question(capability));
}

Error forbidden(const Access& access, const std::string& why) {
  return Error{"the access " + access.name + " " + why, ErrorKind::forbidden};
}

}  // namespace

Status may_submit(const Access& access, std::string_view capability) {
  const std::string named(capability);
  switch (access.role) {
    case Role::observe:
      return forbidden(access, "has the role observe, which submits nothing");
    case Role::chat:
      if (!is_question(capability)) {
        return forbidden(access, "has the role chat: llm.chat, llm.generate and llm.embed only, not " + named);
      }
      break;
    case Role::submit:
      if (access.limits.capabilities.empty() && needs_a_name(capability)) {
        return forbidden(access, "has the role submit, which needs " + named +
                                     " among its capabilities: `edgefleet access create NAME --role submit "
                                     "--capabilities " +
                                     named + "`");
      }
      break;
    case Role::operate:
    case Role::admin:
      break;
  }
  if (any_fits(access.limits.capabilities, capability)) return success();
  return forbidden(access, "may not use " + named + ": it is not among its capabilities");
}

}  // namespace edgefleet::coordinator
