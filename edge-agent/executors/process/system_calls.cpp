#include "edge-agent/executors/process/system_calls.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace edgefleet::agent {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_AARCH64;
#elif defined(__arm__)
constexpr std::uint32_t own_architecture = AUDIT_ARCH_ARM;
#else
#error "the system calls of this architecture are not known"
#endif

constexpr std::uint32_t first_x32 = 0x40000000;  // of the second set of system calls that x86-64 has

constexpr std::uint32_t ioprio_user = 3;  // IOPRIO_WHO_USER, which no header of the C library has

constexpr std::uint32_t allow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t refuse = SECCOMP_RET_ERRNO | EPERM;
constexpr std::uint32_t unknown = SECCOMP_RET_ERRNO | ENOSYS;

constexpr sock_filter load(std::size_t offset) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset));
}
constexpr sock_filter give(std::uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }
// Skips so many instructions if the loaded value is equal, or is not.
constexpr sock_filter if_equal(std::uint32_t value, std::uint8_t then, std::uint8_t otherwise) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise);
}

// The lower half, on the little-endian machines above.
constexpr std::size_t argument(std::size_t n) { return offsetof(seccomp_data, args) + n * sizeof(std::uint64_t); }

// A 32-bit program on a 64-bit kernel has other numbers, so it has no system calls here.
constexpr std::array filter{
    load(offsetof(seccomp_data, arch)),
    if_equal(own_architecture, 1, 0),
    give(unknown),
    load(offsetof(seccomp_data, nr)),
    sock_filter BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first_x32, 0, 1),
    give(unknown),
    if_equal(__NR_prlimit64, 6, 0),
    if_equal(__NR_sched_setscheduler, 5, 0),
    if_equal(__NR_sched_setparam, 4, 0),
    if_equal(__NR_sched_setattr, 3, 0),
    if_equal(__NR_setpriority, 4, 0),
    if_equal(__NR_ioprio_set, 5, 0),
    give(allow),
    // The first argument is a process; 0 is this one.
    load(argument(0)),
    if_equal(0, 7, 6),
    // The first argument says what the second one is: not all processes of this user.
    load(argument(0)),
    if_equal(PRIO_USER, 4, 2),
    load(argument(0)),
    if_equal(ioprio_user, 2, 0),
    load(argument(1)),
    if_equal(0, 1, 0),
    give(refuse),
    give(allow),
};

}  // namespace

bool leave_other_processes_alone() {
  const sock_fprog program{static_cast<unsigned short>(filter.size()), const_cast<sock_filter*>(filter.data())};
  return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

}  // namespace edgefleet::agent
