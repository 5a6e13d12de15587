// Preloaded into a program under test: kills it before the call number KILL_AT (from 1) of those that change what is on
// the disk for good: fsync(), rename(), unlink() and unlinkat(). Then a test can end a program at each of its steps,
// and not only at the moments that it happens to hit.
#include <dlfcn.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>

namespace {

std::atomic<long> calls{0};

long kill_at() {
  const char* text = std::getenv("KILL_AT");
  return text == nullptr ? 0 : std::strtol(text, nullptr, 10);
}

void step() {
  if (++calls == kill_at()) ::kill(::getpid(), SIGKILL);
}

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

int fsync(int fd) {
  step();
  return next<int(int)>("fsync")(fd);
}

int rename(const char* from, const char* to) noexcept {
  step();
  return next<int(const char*, const char*)>("rename")(from, to);
}

int unlink(const char* path) noexcept {
  step();
  return next<int(const char*)>("unlink")(path);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  step();
  return next<int(int, const char*, int)>("unlinkat")(folder, path, flags);
}

}  // extern "C"
