// `setup --new-ca`: another certification authority, for a fleet whose own was lost or stolen.
#pragma once

#include <string>

#include "coordinator/access/setup_files.hpp"

namespace edgefleet::coordinator {

// What it will do, to print.
Result<std::string> plan_of_new_authority(const std::string& data, const Setup& setup);
// Without `yes` it asks on the terminal. It completes a run that was interrupted, without asking again. The broker is
// stopped before the old authority is gone, because it would keep the sessions that it has; release_stopped_broker()
// lets it run again, when it has its new files.
Status replace_authority(const std::string& data, const Setup& setup, bool yes);
Status release_stopped_broker(const Setup& setup);

}  // namespace edgefleet::coordinator
