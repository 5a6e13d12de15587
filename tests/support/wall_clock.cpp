// Preloaded into a program under test: its wall clock is ahead of the machine's by as many seconds as the file named by
// WALL_CLOCK_OFFSET holds (eight bytes, a signed number in the machine's order; negative: behind), from the moment that
// they are written. No other clock changes, nor what the file system and other processes see.
//
// It takes no lock and no memory and uses system calls only, so that it is safe anywhere: in a signal handler, between
// fork and exec, before a sanitizer has started. libfaketime, which does the same and more, has a data race when
// several threads read the time (ThreadSanitizer: read_config_file) and leaves shared memory behind when its program is
// killed.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <ctime>

namespace {

using Seconds = std::atomic<std::int64_t>;
static_assert(Seconds::is_always_lock_free && sizeof(Seconds) == sizeof(std::int64_t));

using TimedWait = int (*)(pthread_cond_t*, pthread_mutex_t*, const timespec*);

const Seconds* offset = nullptr;
TimedWait timed_wait = nullptr;

constexpr long second_ns = 1'000'000'000;
constexpr long slice_ns = 20'000'000;  // how often a wait reads the clock
constexpr time_t monotonic_most = second_ns;  // s: an uptime is smaller, a date is larger

// If the clock were silently correct, the test would prove nothing.
[[noreturn]] void give_up(const char* what) {
  for (const char* at = what; *at != '\0'; ++at) (void)!write(STDERR_FILENO, at, 1);
  _exit(99);
}

__attribute__((constructor)) void begin() {
  timed_wait = reinterpret_cast<TimedWait>(dlsym(RTLD_NEXT, "pthread_cond_timedwait"));
  const char* path = std::getenv("WALL_CLOCK_OFFSET");
  if (timed_wait == nullptr || path == nullptr) give_up("wall_clock: WALL_CLOCK_OFFSET is not set\n");
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  void* page = fd < 0 ? MAP_FAILED : mmap(nullptr, sizeof(Seconds), PROT_READ, MAP_SHARED, fd, 0);
  if (page == MAP_FAILED) give_up("wall_clock: the file that WALL_CLOCK_OFFSET names cannot be read\n");
  close(fd);
  offset = static_cast<const Seconds*>(page);
}

int machine_clock(clockid_t clock, timespec& time) {
  return static_cast<int>(syscall(SYS_clock_gettime, clock, &time));
}

time_t ahead() { return offset == nullptr ? 0 : offset->load(std::memory_order_relaxed); }

bool before(const timespec& a, const timespec& b) {
  return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const int failed = machine_clock(clock, *time);
  if (failed == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += ahead();
  return failed;
}

int gettimeofday(timeval* time, void* /*zone*/) noexcept {
  timespec now{};
  machine_clock(CLOCK_REALTIME, now);
  *time = timeval{now.tv_sec + ahead(), now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* where) noexcept {
  timespec now{};
  machine_clock(CLOCK_REALTIME_COARSE, now);
  now.tv_sec += ahead();
  if (where != nullptr) *where = now.tv_sec;
  return now.tv_sec;
}

// A wait until a date ends at that time of the clock, even if the clock jumps in the meantime. In our programs only
// Paho waits like this. It signals while it holds the mutex, so no signal is lost between two slices.
int pthread_cond_timedwait(pthread_cond_t* condition, pthread_mutex_t* mutex, const timespec* deadline) {
  if (deadline->tv_sec < monotonic_most) return timed_wait(condition, mutex, deadline);
  while (true) {
    timespec end{deadline->tv_sec - ahead(), deadline->tv_nsec};
    timespec slice{};
    machine_clock(CLOCK_REALTIME, slice);
    slice.tv_nsec += slice_ns;
    if (slice.tv_nsec >= second_ns) slice = {slice.tv_sec + 1, slice.tv_nsec - second_ns};
    const bool last = before(end, slice);
    const int ended = timed_wait(condition, mutex, last ? &end : &slice);
    if (ended != ETIMEDOUT || last) return ended;
  }
}

}  // extern "C"
