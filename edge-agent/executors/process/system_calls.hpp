// System calls that a child in the sandbox may use on itself only. Landlock has no rule for them.
#pragma once

namespace edgefleet::agent {

// For this process and its descendants from now on, which must have given up new privileges
// (landlock::restrict_self()). Limits, priority and scheduling of other processes are refused with EPERM: with them a
// child could end its agent. Safe after a fork in a process with threads. False: errno has the reason.
bool leave_other_processes_alone();

}  // namespace edgefleet::agent
