#include "coordinator/store/artifacts/artifacts.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>
#include <vector>

#include "common/core/artifact_id.hpp"
#include "common/files/artifact_digest.hpp"
#include "common/files/durable_write.hpp"
#include "common/system/clock.hpp"
#include "coordinator/store/artifacts/files.hpp"

namespace edgefleet::coordinator {
namespace fs = std::filesystem;

struct Artifacts::Upload::Sink {
  std::string path;
  int fd = -1;
  bool moved = false;  // or removed
  ArtifactDigest digest;
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  Sink(Sink&&) = delete;
  Sink& operator=(Sink&&) = delete;
  ~Sink() {
    if (fd >= 0) close(fd);
  }
};

Artifacts::Artifacts(const std::string& directory, const Bounds& bounds, DiskSpace* space, Disk disk)
    : directory_(directory + "/artifacts"),
      bounds_(bounds),
      space_(space),
      disk_(std::move(disk)),
      uploaders_(directory + "/uploads") {}

Result<std::unique_ptr<Artifacts>> Artifacts::open(const std::string& directory, const Bounds& bounds, DiskSpace* space,
                                                   Disk disk) {
  std::unique_ptr<Artifacts> artifacts(new Artifacts(directory, bounds, space, std::move(disk)));
  std::error_code failure;
  fs::remove_all(artifacts->directory_ + "/incoming", failure);  // left by an earlier process
  fs::create_directories(artifacts->directory_ + "/incoming", failure);
  if (failure) return Error{"artifact folder " + artifacts->directory_ + ": " + failure.message()};
  const Time until = monotonic_now() + bounds.lease;
  for (fs::recursive_directory_iterator it(artifacts->directory_, failure), end; !failure && it != end;
       it.increment(failure)) {
    const std::string name = it->path().filename();
    if (!it->is_regular_file(failure) || !valid_artifact_id(name)) continue;
    const auto bytes = it->file_size(failure);
    artifacts->entries_[name] = Entry{bytes, until};
    artifacts->total_ += bytes;
  }
  if (failure) return Error{"artifact folder " + artifacts->directory_ + ": " + failure.message()};
  const auto size_of = [&](const std::string& id) { return artifacts->size_of(id); };
  if (auto loaded = artifacts->uploaders_.load(size_of); !loaded) return loaded.error();
  return artifacts;
}

std::unique_ptr<Artifacts::Upload> Artifacts::upload(const Uploader& who) {
  return std::unique_ptr<Upload>(new Upload(*this, who));
}

Artifacts::Upload::Upload(Artifacts& artifacts, Uploader who)
    : artifacts_(artifacts), who_(std::move(who)), sink_(std::make_unique<Sink>()) {
  {
    const std::lock_guard lock(artifacts_.mutex_);
    sink_->path = artifacts_.directory_ + "/incoming/" + std::to_string(++artifacts_.last_upload_);
  }
  sink_->fd = ::open(sink_->path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

Artifacts::Upload::~Upload() { release(); }

void Artifacts::Upload::release() {
  if (!std::exchange(sink_->moved, true)) artifacts_.disk_.remove(sink_->path);
  const std::lock_guard lock(artifacts_.mutex_);
  if (const auto pending = artifacts_.pending_of_.find(who_.name); pending != artifacts_.pending_of_.end()) {
    pending->second -= bytes_;
    if (pending->second == 0) artifacts_.pending_of_.erase(pending);
  }
  artifacts_.pending_ -= std::exchange(bytes_, 0);
}

Status Artifacts::Upload::write(const char* data, std::size_t bytes) {
  auto written = append(data, bytes);
  if (!written) release();
  return written;
}

Status Artifacts::Upload::append(const char* data, std::size_t bytes) {
  if (sink_->fd < 0) return disk_error("the artifact cannot be written");
  if (bytes_ + bytes > artifacts_.bounds_.file_bytes) {
    return Error{"the artifact is larger than " + std::to_string(artifacts_.bounds_.file_bytes) + " bytes",
                 ErrorKind::too_large};
  }
  if (artifacts_.space_ != nullptr) {
    if (auto room = artifacts_.space_->for_upload(); !room) return room;
  }
  if (auto room = take_room(bytes); !room) return room;
  sink_->digest.add(data, bytes);
  if (!write_all(sink_->fd, data, bytes)) return disk_error("the artifact cannot be written");
  return success();
}

Status Artifacts::Upload::take_room(std::size_t bytes) {
  const std::uint64_t quota = artifacts_.bounds_.total_bytes;
  const std::uint64_t share = artifacts_.uploaders_.bytes_of(who_.name);
  const std::lock_guard lock(artifacts_.mutex_);
  const std::uint64_t used = artifacts_.total_ + artifacts_.pending_ + bytes;
  if (used > quota) {
    return Error{"the artifacts have reached their quota of " + std::to_string(quota) + " bytes", ErrorKind::full};
  }
  const bool bounded = who_.kind != Uploader::Kind::none;
  std::uint64_t& pending = artifacts_.pending_of_[who_.name];
  if (bounded && share + pending + bytes > quota / 4 && used > quota - quota / 4) {
    return Error{"the files of " + who_.name + " have a quarter of the quota of " + std::to_string(quota) +
                     " bytes, and the last quarter of it is for the others",
                 ErrorKind::full};
  }
  pending += bytes;
  artifacts_.pending_ += bytes;
  bytes_ += bytes;
  return success();
}

// A client may send the next artifact as soon as it has the answer, so the quota reserved for this one is released
// before.
Result<Artifacts::Stored> Artifacts::Upload::finish() {
  auto kept = keep();
  release();
  return kept;
}

// Two uploads of the same content may get here at the same time: both files are complete, and one replaces the other.
Result<Artifacts::Stored> Artifacts::Upload::keep() {
  Stored stored{sink_->digest.id(), bytes_, true};
  if (sink_->fd < 0 || ::fsync(sink_->fd) != 0) return disk_error("the artifact cannot be written");
  auto kept = success();
  {
    const std::shared_lock files(artifacts_.files_mutex_);
    artifacts_.renew(stored.id);
    if (who_.kind == Uploader::Kind::access) kept = artifacts_.uploaders_.add(who_.name, stored.id, bytes_);
    if (who_.kind == Uploader::Kind::agent) artifacts_.uploaders_.note(who_.name, stored.id, bytes_);
    if (!kept) return kept.error();
    // Also over a file that is there: if a disk has damaged it, this one is whole.
    kept = artifacts_.disk_.keep(sink_->path, artifact_path(artifacts_.directory_, stored.id));
    if (kept) stored.is_new = artifacts_.add(stored.id, bytes_);
  }
  sink_->moved = kept.ok();
  if (kept) return stored;
  artifacts_.remove_unlisted(stored.id);
  return kept.error().context("the artifact cannot be kept");
}

Result<std::string> Artifacts::find(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  if (entries_.count(id) == 0) return no_such_artifact(id);
  return artifact_path(directory_, id);
}

std::optional<std::uint64_t> Artifacts::size_of(const std::string& id) const {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  return entry == entries_.end() ? std::nullopt : std::optional(entry->second.bytes);
}

Status Artifacts::lease(const std::string& id) { return renew(id) ? success() : no_such_artifact(id); }

bool Artifacts::renew(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) return false;
  entry->second.leased_until = std::max(entry->second.leased_until, monotonic_now() + bounds_.lease);
  return true;
}

bool Artifacts::add(const std::string& id, std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  const bool is_new = entries_.insert_or_assign(id, Entry{bytes, monotonic_now() + bounds_.lease}).second;
  if (is_new) total_ += bytes;
  return is_new;
}

std::vector<std::string> Artifacts::unleased(Time now) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.leased_until < now) all.push_back(id);
  }
  return all;
}

bool Artifacts::erase(const std::string& id, Time now) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end() || entry->second.leased_until >= now) return false;  // leased again in the meantime
  total_ -= entry->second.bytes;
  entries_.erase(entry);
  return true;
}

// The file may have been moved before the disk failed.
void Artifacts::remove_unlisted(const std::string& id) {
  const std::lock_guard files(files_mutex_);
  if (!find(id)) disk_.remove(artifact_path(directory_, id));
}

void Artifacts::remove(const std::string& id, Time now) {
  const std::lock_guard files(files_mutex_);
  if (!erase(id, now)) return;
  disk_.remove(artifact_path(directory_, id));
  uploaders_.forget(id);
}

std::uint64_t Artifacts::total_bytes() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace edgefleet::coordinator
