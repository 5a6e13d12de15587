#include "edge-agent/executors/process/sandbox.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string_view>

#include "common/core/error_text.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;

// Folders on the way to what is hidden, each with its entries that are not allowed as a whole.
using Ways = std::map<std::string, std::set<std::string, std::less<>>>;

// Of a folder: which files of others are in it.
bool can_change(const std::string& path, const struct stat& info) {
  if (info.st_uid == ::geteuid()) return true;
  const bool sticky = S_ISDIR(info.st_mode) && (info.st_mode & S_ISVTX) != 0;
  return !sticky && ::faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0;
}

bool open_to_all(const fs::path& file) {
  struct stat info{};
  if (::stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;
  if ((info.st_mode & S_IROTH) == 0 || can_change(file, info)) return false;
  for (fs::path folder = file; folder.has_relative_path();) {
    folder = folder.parent_path();
    const bool found = ::stat(folder.c_str(), &info) == 0;
    if (!found || (info.st_mode & S_IXOTH) == 0 || can_change(folder, info)) return false;
  }
  return true;
}

// A link is hidden itself, and so is what it leads to.
std::set<std::string> real_paths(const std::vector<std::string>& hidden) {
  std::set<std::string> all;
  for (const auto& path : hidden) {
    std::error_code failure;
    const fs::path absolute = fs::absolute(path, failure).lexically_normal();
    const fs::path entry = absolute.has_filename() ? absolute : absolute.parent_path();
    for (const auto& real : {fs::weakly_canonical(entry.parent_path(), failure) / entry.filename(),
                             fs::weakly_canonical(entry, failure)}) {
      if (!open_to_all(real)) all.insert(real.string());
    }
  }
  all.erase("");
  all.erase("/");
  return all;
}

bool below_another(const std::string& path, const std::set<std::string>& all) {
  return std::any_of(all.begin(), all.end(), [&](const auto& other) { return path.starts_with(other + '/'); });
}

Ways ways_to(const std::set<std::string>& hidden) {
  Ways ways;
  for (const auto& path : hidden) {
    if (below_another(path, hidden)) continue;
    for (fs::path at = path; at.has_relative_path(); at = at.parent_path()) {
      ways[at.parent_path().string()].insert(at.filename().string());
    }
  }
  return ways;
}

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using Folder = std::unique_ptr<DIR, CloseFolder>;

Folder open_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return Folder(fd < 0 ? nullptr : ::fdopendir(fd));
}

bool out_of_something(int error) { return error == EMFILE || error == ENFILE || error == ENOMEM; }

Error rule_error(const std::string& folder, int error) {
  return {"making the rule of the sandbox for " + folder + ": " + error_text(error), ErrorKind::unavailable};
}

bool is_folder(int parent, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat info{};
  return ::fstatat(parent, static_cast<const char*>(entry.d_name), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(info.st_mode);
}

bool operator==(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

// The file system's clock is coarse: a change that follows at once may have the same time.
constexpr std::int64_t coarse_ns = 20'000'000;

bool just_now(const timespec& time) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return (std::int64_t{now.tv_sec} - time.tv_sec) * 1'000'000'000 + now.tv_nsec - time.tv_nsec < coarse_ns;
}

}  // namespace

bool Sandbox::Seen::same() const {
  struct stat info{};
  return ::lstat(path.c_str(), &info) == 0 && info.st_dev == device && info.st_ino == inode && info.st_ctim == changed;
}

// What cannot be opened, or is gone, stays refused. A link has no rights of its own.
Status Sandbox::allow_entries(Prepared& prepared, const std::string& folder, const Names& except) const {
  const Folder open = open_folder(folder);
  if (!open) return out_of_something(errno) ? Status(rule_error(folder, errno)) : success();
  while (const dirent* const entry = ::readdir(open.get())) {
    const std::string_view name(static_cast<const char*>(entry->d_name));
    if (name == "." || name == ".." || entry->d_type == DT_LNK || except.contains(name)) continue;
    if (!is_folder(::dirfd(open.get()), *entry)) {
      prepared.files.push_back((folder == "/" ? "/" : folder + '/') + std::string(name));
      continue;
    }
    const UniqueFd path(::openat(::dirfd(open.get()), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const bool allowed = path && landlock::allow(prepared.ruleset, path, rights_);
    if (!allowed && out_of_something(errno)) return rule_error(folder, errno);
  }
  return success();
}

Status Sandbox::allow_files(const Prepared& prepared) const {
  for (const auto& file : prepared.files) {
    const UniqueFd path(::open(file.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    const bool allowed = path && landlock::allow(prepared.ruleset, path, rights_);
    if (!allowed && out_of_something(errno)) return rule_error(file, errno);
  }
  return success();
}

Sandbox::Sandbox(std::vector<std::string> hidden)
    : mounts_(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)), hidden_(std::move(hidden)) {
  const auto version = landlock::version();
  if (version) {
    rights_ = landlock::rights_of(*version);
  } else {
    missing_ = version.error().message;
  }
}

void Sandbox::hide(std::vector<std::string> hidden) {
  const std::lock_guard lock(mutex_);
  hidden_ = std::move(hidden);
  ++generation_;
}

// A mount covers what was in its place, and with it the rule about that.
std::uint64_t Sandbox::generation() {
  pollfd mounts{mounts_.get(), POLLPRI, 0};
  if (!mounts_ || ::poll(&mounts, 1, 0) > 0) ++generation_;
  return generation_;
}

Result<Sandbox::Prepared> Sandbox::make() {
  Prepared prepared;
  std::vector<std::string> hidden;
  {
    const std::lock_guard lock(mutex_);
    prepared.generation = generation();
    hidden = hidden_;
  }
  auto ruleset = landlock::make_ruleset(rights_);
  if (!ruleset) return ruleset.error();
  prepared.ruleset = std::move(*ruleset);
  for (const auto& [folder, except] : ways_to(real_paths(hidden))) {
    struct stat info{};
    if (::lstat(folder.c_str(), &info) == 0) {  // before its entries are read: a change meanwhile counts
      prepared.folders.push_back({folder, info.st_dev, info.st_ino, info.st_ctim});
    }
    if (auto allowed = allow_entries(prepared, folder, except); !allowed) return allowed.error();
  }
  return prepared;
}

std::optional<Sandbox::Prepared> Sandbox::take_prepared() {
  std::optional<Prepared> taken;
  std::uint64_t now = 0;
  {
    const std::lock_guard lock(mutex_);
    taken = std::exchange(prepared_, std::nullopt);
    now = generation();
  }
  const bool usable = taken && taken->generation == now &&
                      std::all_of(taken->folders.begin(), taken->folders.end(), [](const Seen& s) { return s.same(); });
  return usable ? std::move(taken) : std::nullopt;
}

Result<UniqueFd> Sandbox::ruleset_for(const std::string& own) {
  if (!missing_.empty()) return UniqueFd();
  auto prepared = take_prepared();
  if (!prepared) {
    auto made = make();
    if (!made) return made.error();
    prepared = std::move(*made);
  }
  if (auto allowed = allow_files(*prepared); !allowed) return allowed.error();
  if (own.empty()) return std::move(prepared->ruleset);
  const UniqueFd folder(::open(own.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder || !landlock::allow(prepared->ruleset, folder, rights_)) return rule_error(own, errno);
  return std::move(prepared->ruleset);
}

void Sandbox::prepare() {
  if (!missing_.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (prepared_) return;
  }
  auto made = make();
  if (!made || std::any_of(made->folders.begin(), made->folders.end(),
                           [](const Seen& seen) { return just_now(seen.changed); })) {
    return;
  }
  const std::lock_guard lock(mutex_);
  prepared_ = std::move(*made);
}

}  // namespace edgefleet::agent
