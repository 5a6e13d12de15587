// Which files commands and plug-ins may use: all but the agent's own. Landlock cannot refuse a path, so everything
// beside the way from `/` to a hidden path is allowed. The folders on that way are not, because a right to them would
// be one to what is below them: a child can use what was in them at its start, but makes nothing new in them.
#pragma once

#include <cstdint>
#include <ctime>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "edge-agent/executors/process/landlock.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {

// One per agent. From any thread.
class Sandbox {
 public:
  // `hidden`: files and folders, which may come and go. A file that every user may read and this one may not change is
  // not hidden: that would put its folder, such as /etc, on the way.
  explicit Sandbox(std::vector<std::string> hidden);

  // Why this kernel has none; empty: it has one.
  [[nodiscard]] const std::string& missing() const { return missing_; }
  void hide(std::vector<std::string> hidden);  // instead of those before, for children that start from now on

  // The ruleset of one child, which may use `own` although it is in a hidden folder. Empty: missing().
  Result<UniqueFd> ruleset_for(const std::string& own);
  // Makes most of the next one, for the time between two children: this takes four system calls for each entry of the
  // folders on the way.
  void prepare();

 private:
  using Names = std::set<std::string, std::less<>>;
  // A folder on the way, when its entries were read.
  struct Seen {
    std::string path;
    dev_t device = 0;
    ino_t inode = 0;
    timespec changed{};
    [[nodiscard]] bool same() const;
  };
  struct Prepared {
    UniqueFd ruleset;
    std::vector<Seen> folders;
    // Beside the way; their rules come last. A rule keeps its file's space on the disk, also if the file is removed.
    std::vector<std::string> files;
    std::uint64_t generation = 0;
  };

  Result<Prepared> make();
  std::optional<Prepared> take_prepared();
  Status allow_entries(Prepared& prepared, const std::string& folder, const Names& except) const;
  Status allow_files(const Prepared& prepared) const;
  std::uint64_t generation();

  std::string missing_;
  landlock::Rights rights_;
  UniqueFd mounts_;  // poll() tells when one has come or gone
  std::mutex mutex_;
  std::vector<std::string> hidden_;
  std::uint64_t generation_ = 0;  // of the mounts and of `hidden_`
  std::optional<Prepared> prepared_;
};

}  // namespace edgefleet::agent
