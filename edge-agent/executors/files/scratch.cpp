#include "edge-agent/executors/files/scratch.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "common/core/error_text.hpp"
#include "common/core/utf8.hpp"
#include "edge-agent/executors/process/leftovers.hpp"
#include "edge-agent/executors/process/tree_removal.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t most_entries = 10'000;  // in out/, of any kind
constexpr int deepest_folder = 32;            // in out/

Error system_error(const std::string& what, int error) {
  const bool no_space = error == ENOSPC || error == EDQUOT;
  return Error{what + ": " + error_text(error), no_space ? ErrorKind::full : ErrorKind::internal};
}

struct Found {
  std::string name;  // relative to out/
  std::uint64_t bytes = 0;
};

std::vector<std::string> folders_of_executors(const std::string& dir) {
  std::vector<std::string> folders;
  std::error_code failure;
  for (fs::directory_iterator it(dir, failure); !failure && it != fs::directory_iterator(); it.increment(failure)) {
    const bool folder = it->symlink_status(failure).type() == fs::file_type::directory;
    if (folder && ExecutorName::parse(it->path().filename().string())) folders.push_back(it->path().string());
  }
  return folders;
}

Error too_much(const FileLimits& limits) {
  return Error{
      "out/ has more than " + std::to_string(limits.files) + " files or " + std::to_string(limits.bytes) + " bytes",
      ErrorKind::too_large};
}

Status add_found(std::vector<Found>& found, const fs::directory_entry& entry, const fs::path& out,
                 const FileLimits& limits, std::uint64_t& bytes) {
  std::error_code failure;
  if (entry.symlink_status(failure).type() != fs::file_type::regular || failure) return success();
  const auto size = entry.file_size(failure);
  if (failure) return success();
  bytes += size;
  if (found.size() == limits.files || size > limits.bytes || bytes > limits.bytes) return too_much(limits);
  found.push_back({entry.path().lexically_relative(out).string(), size});
  return success();
}

Result<std::vector<Found>> files_in(const fs::path& out, const FileLimits& limits) {
  std::vector<Found> found;
  std::error_code failure;
  if (fs::symlink_status(out, failure).type() != fs::file_type::directory) return found;
  std::uint64_t bytes = 0;
  std::size_t seen = 0;
  fs::recursive_directory_iterator it(out, fs::directory_options::skip_permission_denied, failure);
  for (; !failure && it != fs::recursive_directory_iterator(); it.increment(failure)) {
    if (++seen > most_entries) return too_much(limits);
    if (it.depth() > deepest_folder) {
      return Error{"out/ has folders that are nested deeper than " + std::to_string(deepest_folder),
                   ErrorKind::too_large};
    }
    if (auto added = add_found(found, *it, out, limits, bytes); !added) return added.error();
  }
  if (failure) return Error{"reading out/: " + failure.message(), ErrorKind::internal};
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) { return a.name < b.name; });
  return found;
}

}  // namespace

bool OpenFile::has_changed() const {
  struct stat info{};
  return ::fstat(fd.get(), &info) != 0 || static_cast<std::uint64_t>(info.st_size) != bytes;
}

Error changed_while_stored(const std::string& file) {
  return {file + " changed while it was stored: complete a file before the result is told", ErrorKind::internal};
}

Result<OpenFile> open_beneath(const std::string& dir, const std::string& relative) {
  UniqueFd at(::open(dir.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!at) return system_error(dir, errno);
  const fs::path path(relative);
  if (path.empty() || path.is_absolute()) return Error{"not a relative path: " + relative, ErrorKind::invalid};
  for (auto part = path.begin(); part != path.end(); ++part) {
    const bool last = std::next(part) == path.end();
    if (part->empty() || *part == "." || *part == "..")
      return Error{"not a plain path: " + relative, ErrorKind::invalid};
    // A FIFO would block a plain open.
    const int flags =
        last ? O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;
    UniqueFd next(::openat(at.get(), part->c_str(), flags));
    if (!next) return Error{relative + ": " + (errno == ELOOP ? "is a link" : error_text(errno)), ErrorKind::invalid};
    at = std::move(next);
  }
  struct stat info{};
  if (::fstat(at.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Error{relative + " is not a regular file", ErrorKind::invalid};
  }
  return OpenFile{std::move(at), static_cast<std::uint64_t>(info.st_size)};
}

Error transfer_error(const Error& error, const std::string& where) {
  const bool invalid = error.kind == ErrorKind::invalid;
  return Error{where + ": " + error.message, invalid ? ErrorKind::unavailable : error.kind};
}

Scratch::~Scratch() {
  if (dir_.empty()) return;
  const auto removed = remove_tree(dir_);
  if (!removed) write_log(log_, Severity::warning, removed.error().message);
}

Status Scratch::lay(ArtifactStore& store, const std::set<std::string>& artifacts, const FileLimits& limits,
                    const std::stop_token& stop) const {
  const Error over{"the input names more than " + std::to_string(limits.files) + " files or " +
                       std::to_string(limits.bytes) + " bytes, the maximum of this agent",
                   ErrorKind::too_large};
  if (artifacts.size() > limits.files) return over;
  std::uint64_t left = limits.bytes;
  for (const auto& artifact : artifacts) {
    const std::string path = in_dir() + '/' + artifact;
    const auto fetched = store.fetch(artifact, path, left, stop);
    if (!fetched && fetched.error().kind == ErrorKind::too_large) return over;
    if (!fetched) return transfer_error(fetched.error(), "fetching " + artifact);
    std::error_code failure;
    const auto bytes = fs::file_size(path, failure);
    if (failure || bytes > left) return over;
    left -= bytes;
  }
  return success();
}

Result<std::vector<StoredFile>> Scratch::collect(ArtifactStore& store, const FileLimits& limits,
                                                 const std::stop_token& stop) const {
  const auto found = files_in(dir_ + "/out", limits);
  if (!found) return found.error();
  std::vector<StoredFile> stored;
  for (const auto& file : *found) {
    auto opened = open_beneath(dir_, "out/" + file.name);
    if (!opened) return Error{"out/ changed while it was stored: " + opened.error().message, ErrorKind::internal};
    auto artifact = store.store(opened->path(), stop);
    if (!artifact) return transfer_error(artifact.error(), "storing " + valid_utf8(file.name));
    if (opened->has_changed()) return changed_while_stored("out/" + valid_utf8(file.name));
    stored.push_back({std::move(*artifact), valid_utf8(file.name), opened->bytes});
  }
  return stored;
}

Result<std::shared_ptr<ScratchRoot>> ScratchRoot::open(const std::string& work_dir, ExecutorLog log) {
  std::error_code failure;
  const std::string dir = fs::absolute(work_dir, failure).lexically_normal().string();
  fs::create_directories(dir, failure);
  if (failure) return Error{"making the work_dir " + dir + ": " + failure.message(), ErrorKind::invalid};
  if (const int killed = kill_processes_of(marker, dir); killed > 0) {
    write_log(log, Severity::warning, "killed " + std::to_string(killed) + " processes of an earlier run of the agent");
  }
  remove_attempts(dir, log);
  for (const auto& folder : folders_of_executors(dir)) remove_attempts(folder, log);
  return std::shared_ptr<ScratchRoot>(new ScratchRoot(dir, std::move(log)));
}

Result<std::string> ScratchRoot::folder_of(const ExecutorName& executor) const {
  std::string folder = dir_ + '/' + executor.str();
  if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_error("making the folder " + folder, errno);
  return folder;
}

Result<Scratch> ScratchRoot::make_in(const ExecutorName& executor, const TaskId& id, int attempt) const {
  const auto folder = folder_of(executor);
  if (!folder) return folder.error();
  return make_below(*folder, id, attempt);
}

Result<Scratch> ScratchRoot::make_below(const std::string& folder, const TaskId& id, int attempt) const {
  const std::string dir = folder + '/' + id.str() + '-' + std::to_string(attempt);
  // An existing folder belongs to a run of the same attempt.
  if (::mkdir(dir.c_str(), 0700) != 0) return system_error("making the scratch folder " + dir, errno);
  Scratch scratch(dir, log_);
  for (const char* part : {"/in", "/out"}) {
    if (::mkdir((dir + part).c_str(), 0700) != 0) return system_error("making the scratch folder " + dir, errno);
  }
  return scratch;
}

}  // namespace edgefleet::agent
