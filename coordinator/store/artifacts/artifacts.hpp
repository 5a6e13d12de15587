// Files named by their content: DIR/artifacts/ab/sha256-ab... . Kept while a stored task names them, and for at least
// an hour after an upload or a submit that names them.
#pragma once

#include <unistd.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/time.hpp"
#include "coordinator/store/artifacts/files.hpp"
#include "coordinator/store/artifacts/uploaders.hpp"
#include "coordinator/store/data/disk_space.hpp"

namespace edgefleet::coordinator {

// What may wait for the disk. Artifacts::find() and lease() never wait for it.
struct ArtifactsDisk {
  std::function<Status(const std::string& from, const std::string& to)> keep = keep_durably;
  std::function<void(const std::string& path)> remove = [](const std::string& path) { ::unlink(path.c_str()); };
};

// Whose upload it is. One who has a quarter of the quota or more gets nothing of the last quarter, which is for the
// others.
struct Uploader {
  enum class Kind { none, access, agent };
  std::string name;  // empty: of nobody in particular, whose share is not bounded
  Kind kind = Kind::none;
};

class Artifacts {
 public:
  struct Bounds {
    std::uint64_t file_bytes = std::uint64_t{512} * 1024 * 1024;
    std::uint64_t total_bytes = std::uint64_t{8} * 1024 * 1024 * 1024;
    Duration lease = std::chrono::hours(1);
  };
  using Disk = ArtifactsDisk;
  struct Stored {
    std::string id;  // sha256-<64 hex digits>
    std::uint64_t bytes = 0;
    bool is_new = true;
  };

  // Creates the folder, and leases the artifacts found in it. `space` refuses uploads; null: only the bounds do.
  static Result<std::unique_ptr<Artifacts>> open(const std::string& directory, const Bounds& bounds,
                                                 DiskSpace* space = nullptr, Disk disk = {});

  // One upload; removed if it is not finished. Each call, the destructor included, may wait for the disk.
  class Upload {
   public:
    Upload(const Upload&) = delete;
    Upload& operator=(const Upload&) = delete;
    Upload(Upload&&) = delete;
    Upload& operator=(Upload&&) = delete;
    ~Upload();
    Status write(const char* data, std::size_t bytes);  // an error is final: the upload is removed
    // Once. After a success the artifact is kept, even if the power fails.
    Result<Stored> finish();

   private:
    friend class Artifacts;
    Upload(Artifacts& artifacts, Uploader who);
    Status take_room(std::size_t bytes);
    Status append(const char* data, std::size_t bytes);
    Result<Stored> keep();
    void release();
    struct Sink;
    Artifacts& artifacts_;
    const Uploader who_;
    std::unique_ptr<Sink> sink_;
    std::uint64_t bytes_ = 0;
  };
  std::unique_ptr<Upload> upload(const Uploader& who = {});
  [[nodiscard]] bool uploaded_by(const std::string& who, const std::string& id) const {
    return uploaders_.has(who, id);
  }

  // The path of the file; not_found otherwise. Reading does not renew the lease: whoever polls a file would keep it.
  [[nodiscard]] Result<std::string> find(const std::string& id) const;
  // Its size; none: it does not exist.
  [[nodiscard]] std::optional<std::uint64_t> size_of(const std::string& id) const;
  // Renews the lease, for a task that names it and is not stored yet; not_found otherwise.
  Status lease(const std::string& id);
  // Removes artifacts that neither a lease nor a task keeps. `named(id)`: a stored task names it.
  template <typename Named>
  void collect_garbage(Time now, Named named) {
    for (const std::string& id : unleased(now)) {
      if (!named(id)) remove(id, now);
    }
  }
  [[nodiscard]] std::uint64_t total_bytes() const;
  [[nodiscard]] Duration kept_for() const { return bounds_.lease; }  // after an upload

 private:
  struct Entry {
    std::uint64_t bytes = 0;
    Time leased_until;
  };
  Artifacts(const std::string& directory, const Bounds& bounds, DiskSpace* space, Disk disk);
  bool renew(const std::string& id);  // false: there is no such artifact
  bool add(const std::string& id, std::uint64_t bytes);  // false: it is there already
  bool erase(const std::string& id, Time now);           // false: it is leased
  std::vector<std::string> unleased(Time now) const;
  void remove_unlisted(const std::string& id);
  void remove(const std::string& id, Time now);

  std::string directory_;
  Bounds bounds_;
  DiskSpace* space_;
  const Disk disk_;
  Uploaders uploaders_;
  // Held while a file and its entry change together: shared to keep a file, exclusive to remove one. Before `mutex_`.
  std::shared_mutex files_mutex_;
  mutable std::mutex mutex_;  // of all below; held only for moments
  std::map<std::string, Entry> entries_;
  std::uint64_t total_ = 0;
  std::uint64_t pending_ = 0;  // bytes of uploads in progress
  std::map<std::string, std::uint64_t> pending_of_;  // of a name
  std::uint64_t last_upload_ = 0;
};

}  // namespace edgefleet::coordinator
