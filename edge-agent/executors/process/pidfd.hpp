// Descriptors of processes. System calls, because <sys/pidfd.h> of glibc 2.36 declares them with C++ names.
#pragma once

#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {

inline UniqueFd open_pidfd(pid_t pid) { return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U))); }

inline bool signal_pidfd(const UniqueFd& process, int signal) {
  return ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0U) == 0;
}

}  // namespace edgefleet::agent
