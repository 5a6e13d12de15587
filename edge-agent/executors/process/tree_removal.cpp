#include "edge-agent/executors/process/tree_removal.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "common/core/error_text.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

std::vector<std::string> entries_of(int folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, CloseFolder> open(::fdopendir(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr) {
    const std::string name(static_cast<const char*>(entry->d_name));
    if (name != "." && name != "..") names.push_back(name);
  }
  return names;
}

// Anything but a folder with content. False: it is one.
bool remove_simple(int folder, const std::string& name) {
  return ::unlinkat(folder, name.c_str(), 0) == 0 || ::unlinkat(folder, name.c_str(), AT_REMOVEDIR) == 0 ||
         errno == ENOENT;
}

// A folder can be emptied and moved only by whoever may write to it. The name may become a link meanwhile: only the
// folder that was found is changed.
UniqueFd open_writable(int folder, const std::string& name) {
  const UniqueFd found(::openat(folder, name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!found) return {};
  ::chmod(("/proc/self/fd/" + std::to_string(found.get())).c_str(), S_IRWXU);
  return UniqueFd(::openat(found.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// Moves the folders that are below those in `top` up into it, so that any depth takes two descriptors.
class Flattening {
 public:
  explicit Flattening(int top) : top_(top) {}

  bool run() {
    for (auto names = entries_of(top_); !names.empty(); names = entries_of(top_)) {
      for (const auto& name : names) {
        if (!remove_simple(top_, name) && !empty(name)) return false;
      }
    }
    return true;
  }

 private:
  bool empty(const std::string& name) {
    const UniqueFd folder = open_writable(top_, name);
    if (!folder) return false;
    for (const auto& entry : entries_of(folder.get())) {
      if (!remove_simple(folder.get(), entry) && !move_up(folder.get(), entry)) return false;
    }
    return ::unlinkat(top_, name.c_str(), AT_REMOVEDIR) == 0 || errno == ENOENT;
  }

  bool move_up(int folder, const std::string& entry) {
    if (!open_writable(folder, entry)) return false;
    for (;;) {
      const std::string name = ".removed-" + std::to_string(++moved_);
      if (::renameat(folder, entry.c_str(), top_, name.c_str()) == 0) return true;
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) return errno == ENOENT;
    }
  }

  int top_;
  std::uint64_t moved_ = 0;
};

}  // namespace

Status remove_tree(const std::string& path) {
  int failure = 0;
  // Descendants that were just killed may still add files.
  for (int tries = 0; tries < 3; ++tries) {
    if (remove_simple(AT_FDCWD, path)) return success();
    const UniqueFd top = open_writable(AT_FDCWD, path);
    const bool emptied = top && Flattening(top.get()).run();
    failure = errno;
    if (emptied && remove_simple(AT_FDCWD, path)) return success();
  }
  return Error{"removing " + path + ": " + error_text(failure), ErrorKind::internal};
}

}  // namespace edgefleet::agent
