#include "coordinator/access/role.hpp"

#include <algorithm>
#include <array>

namespace edgefleet::coordinator {
namespace {

struct Row {
  Role role;
  std::string_view name;
  std::array<std::string_view, 5> grants;
};
constexpr std::array rows = {
    Row{Role::observe, "observe", {"observe"}},
    Row{Role::chat, "chat", {"chat"}},
    Row{Role::submit, "submit", {"submit", "chat"}},
    Row{Role::operate, "operate", {"operate", "submit", "chat", "observe"}},
    Row{Role::admin, "admin", {"admin", "operate", "submit", "chat", "observe"}},
};

const Row& row_of(Role role) { return rows.at(static_cast<std::size_t>(role)); }
static_assert(rows[static_cast<std::size_t>(Role::admin)].role == Role::admin, "the rows have the order of the roles");

}  // namespace

std::string_view to_string(Role role) { return row_of(role).name; }

std::optional<Role> parse_role(std::string_view text) {
  const auto* found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) { return row.name == text; });
  return found == rows.end() ? std::nullopt : std::optional(found->role);
}

bool may(Role role, std::string_view needed) {
  const auto& grants = row_of(role).grants;
  return needed == "any" || (!needed.empty() && std::find(grants.begin(), grants.end(), needed) != grants.end());
}

}  // namespace edgefleet::coordinator
