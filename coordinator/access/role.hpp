// The roles of people and programs, and what each may do. docs/security.md, "Roles".
#pragma once

#include <optional>
#include <string_view>

namespace edgefleet::coordinator {

enum class Role { observe, chat, submit, operate, admin };

std::string_view to_string(Role role);
std::optional<Role> parse_role(std::string_view text);

// Whether a role may use a route that needs `needed` (http_server::Route::role): the name of a role, or `any`.
bool may(Role role, std::string_view needed);

// A role below this one sees and changes only its own tasks, batches and files.
inline bool sees_all_tasks(Role role) { return role == Role::operate || role == Role::admin; }

}  // namespace edgefleet::coordinator
