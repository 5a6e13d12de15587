#include "coordinator/access/role.hpp"

#include <map>
#include <string>

#include "tests/support/catch.hpp"

using namespace edgefleet::coordinator;

TEST_CASE("each role may do what docs/security.md says, and nothing else") {
  const std::map<Role, std::string> table = {
      {Role::observe, "observe any"},
      {Role::chat, "chat any"},
      {Role::submit, "submit chat any"},
      {Role::operate, "operate submit chat observe any"},
      {Role::admin, "admin operate submit chat observe any"},
  };
  for (const auto& [role, grants] : table) {
    for (const std::string needed : {"observe", "chat", "submit", "operate", "admin", "agent", "any", "", "nothing"}) {
      INFO(to_string(role) << " " << needed);
      const bool expected = !needed.empty() && (" " + grants + " ").find(" " + needed + " ") != std::string::npos;
      CHECK(may(role, needed) == expected);
    }
    CHECK(parse_role(to_string(role)) == role);
  }
  CHECK_FALSE(parse_role("root"));
  CHECK_FALSE(parse_role(""));
}
