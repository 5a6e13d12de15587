// Folders of attempts: `<work_dir>/<task id>-<attempt>/` with `in/` and `out/`, removed when the attempt ends. Those of
// a plug-in are in a folder of its own, `<work_dir>/<executor>/`, which is all of `work_dir` that it may use.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "edge-agent/executors/executor_log.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {

struct StoredFile {
  std::string artifact;
  std::string name;
  std::uint64_t bytes = 0;
};

// Limits of one attempt: for the files in out/, and separately for those in in/.
struct FileLimits {
  std::uint64_t bytes = std::uint64_t{256} << 20U;
  std::size_t files = 64;
  friend bool operator==(const FileLimits&, const FileLimits&) = default;
};

// A regular file below a directory, opened without following a link at any step.
struct OpenFile {
  UniqueFd fd;
  std::uint64_t bytes = 0;
  // A path to this very file: the file at the original path may be replaced meanwhile.
  [[nodiscard]] bool has_changed() const;  // its size; it may still be written to
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd.get()); }
};
Error changed_while_stored(const std::string& file);
Result<OpenFile> open_beneath(const std::string& dir, const std::string& relative);

// The error of a transfer during `where`. Ids and paths were checked before, so if the store reports `invalid` the
// problem is with this store: another agent may succeed.
Error transfer_error(const Error& error, const std::string& where);

class Scratch {
 public:
  Scratch(std::string dir, ExecutorLog log) : dir_(std::move(dir)), log_(std::move(log)) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch(Scratch&& other) noexcept : dir_(std::exchange(other.dir_, {})), log_(std::move(other.log_)) {}
  Scratch& operator=(Scratch&&) = delete;
  ~Scratch();

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] std::string in_dir() const { return dir_ + "/in"; }

  // Each at in/<id>. Error kind too_large: over a limit.
  Status lay(ArtifactStore& store, const std::set<std::string>& artifacts, const FileLimits& limits,
             const std::stop_token& stop) const;
  // Stores the files in out/ and its sub-folders (names are relative to out/), without links and devices. Error
  // kind too_large: over a limit; nothing was stored then.
  Result<std::vector<StoredFile>> collect(ArtifactStore& store, const FileLimits& limits,
                                          const std::stop_token& stop) const;

 private:
  std::string dir_;
  ExecutorLog log_;
};

// The folder of attempts of one agent: created if absent, and cleaned of the remains of an earlier run: folders of
// attempts, and processes that survived it (they have `marker` in their environment).
class ScratchRoot {
 public:
  static constexpr const char* marker = "EDGEFLEET_WORK_DIR";

  // The caller holds the lock of the agent's work folder, so the remains are not those of another agent.
  static Result<std::shared_ptr<ScratchRoot>> open(const std::string& work_dir, ExecutorLog log);

  [[nodiscard]] const std::string& dir() const { return dir_; }
  [[nodiscard]] Result<Scratch> make(const TaskId& id, int attempt) const { return make_below(dir_, id, attempt); }
  // Created if absent. It stays: what a plug-in has left in it is there at its next start.
  [[nodiscard]] Result<std::string> folder_of(const ExecutorName& executor) const;
  [[nodiscard]] Result<Scratch> make_in(const ExecutorName& executor, const TaskId& id, int attempt) const;

 private:
  [[nodiscard]] Result<Scratch> make_below(const std::string& folder, const TaskId& id, int attempt) const;
  ScratchRoot(std::string dir, ExecutorLog log) : dir_(std::move(dir)), log_(std::move(log)) {}

  std::string dir_;  // absolute
  ExecutorLog log_;
};

}  // namespace edgefleet::agent
