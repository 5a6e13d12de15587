#include "edge-agent/shell/artifact_spool.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "common/core/artifact_id.hpp"
#include "common/core/backoff.hpp"
#include "common/files/artifact_digest.hpp"
#include "common/files/durable_write.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"
#include "edge-agent/shell/spool_files.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view of_uploaded = ".uploaded";

struct Named {
  std::string artifact;
  bool waits = true;
};
std::optional<Named> named_by(std::string name) {
  const bool waits = !name.ends_with(of_uploaded);
  if (!waits) name.resize(name.size() - of_uploaded.size());
  if (!valid_artifact_id(name)) return std::nullopt;
  return Named{std::move(name), waits};
}

}  // namespace

ArtifactSpool::ArtifactSpool(std::string folder, std::unique_ptr<HttpArtifacts> remote, Bounds bounds)
    : folder_(std::move(folder)), remote_(std::move(remote)), bounds_(bounds) {
  for (const auto& path : files_in(folder_)) {
    const auto named = named_by(fs::path(path).filename().string());
    std::error_code failure;
    const bool regular = fs::symlink_status(path, failure).type() == fs::file_type::regular;
    if (!regular || !named) {
      fs::remove(path, failure);  // was never complete, or is a link
      continue;
    }
    const auto bytes = fs::file_size(path, failure);
    bytes_ += bytes;
    add(named->artifact, bytes, named->waits);
  }
}

ArtifactSpool::~ArtifactSpool() = default;

void ArtifactSpool::start(OnUploaded on_uploaded, OnRefused on_refused) {
  on_uploaded_ = std::move(on_uploaded);
  on_refused_ = std::move(on_refused);
  {
    const std::lock_guard lock(mutex_);
    for (auto file = files_.begin(); file != files_.end();) {
      const auto next = std::next(file);
      if (file->second.holds == 0) remove(file);
      file = next;
    }
  }
  uploader_ = std::jthread([this](const std::stop_token& stop) { upload_all(stop); });
}

void ArtifactSpool::stop() { uploader_ = {}; }

// ---- the files of results

std::set<std::string> ArtifactSpool::hold(const std::set<std::string>& artifacts) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> waiting;
  for (const auto& artifact : artifacts) {
    const auto file = files_.find(artifact);
    if (file == files_.end()) continue;
    ++file->second.holds;
    file->second.needed = true;
    if (file->second.waits) waiting.insert(artifact);
  }
  return waiting;
}

void ArtifactSpool::release(const std::set<std::string>& artifacts) {
  const std::lock_guard lock(mutex_);
  for (const auto& artifact : artifacts) {
    const auto file = files_.find(artifact);
    if (file == files_.end() || file->second.holds == 0 || --file->second.holds > 0) continue;
    file->second.needed = false;
    if (!file->second.waits) remove(file);
  }
  remove_unneeded();
}

std::set<std::string> ArtifactSpool::upload_again(const std::vector<std::string>& artifacts) {
  const std::lock_guard lock(mutex_);
  std::set<std::string> here;
  for (const auto& artifact : artifacts) {
    const auto file = files_.find(artifact);
    if (file == files_.end()) continue;
    if (!file->second.waits) {
      file->second.waits = ::rename(path_of(artifact, false).c_str(), path_of(artifact, true).c_str()) == 0;
    }
    if (file->second.waits) here.insert(artifact);
  }
  filled_.notify_all();
  return here;
}

bool ArtifactSpool::link_to(const std::string& artifact, const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto file = files_.find(artifact);
  std::error_code failure;
  if (file == files_.end() || fs::space(folder_, failure).available < bounds_.free_bytes || failure) return false;
  return ::link(path_of(artifact, file->second.waits).c_str(), path.c_str()) == 0;
}

// ---- transfers

Status ArtifactSpool::fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
                            std::stop_token stop) {
  return remote_->fetch(artifact, to_path, most_bytes, std::move(stop));
}

Result<std::string> ArtifactSpool::fetch_text(const TextFile& file, std::stop_token stop) {
  return remote_->fetch_text(file, stop);
}

Result<std::string> ArtifactSpool::store(const std::string& path, std::stop_token stop) {
  auto stored = remote_->store_once(path, stop);
  if (stored) link_uploaded(path, *stored);
  if (stored || !worth_storing_later(stored.error().kind) || stop.stop_requested()) return stored;
  if (remote_->wrong_address(stop)) return stored;  // kept here, it would never be uploaded
  const auto here = copy(path);
  auto kept = here ? store_later(*here) : Result<std::string>(here.error());
  if (kept) return kept;
  return remote_->store(path, std::move(stop));  // no space here: the task keeps its slot until the file is uploaded
}

// Written without waiting for the disk: usually it is uploaded and removed before the system writes it there.
Result<std::string> ArtifactSpool::store_text(const std::string& text, std::stop_token stop) {
  const auto here = write_copy(text);
  if (!here) return here.error();
  auto stored = remote_->store_once(here->path, stop);
  if (stored) {
    keep_uploaded(*here);
    return stored;
  }
  if (!worth_storing_later(stored.error().kind) || stop.stop_requested() || remote_->wrong_address(stop)) {
    drop(*here);
    return stored;
  }
  return store_later(*here);
}

// ---- files here

Status ArtifactSpool::reserve(std::uint64_t bytes) {
  std::error_code failure;
  fs::create_directories(folder_, failure);
  const auto space = fs::space(folder_, failure);
  const std::lock_guard lock(mutex_);
  remove_unneeded();
  if (failure || bytes_ + bytes > bounds_.bytes || space.available < bytes + bounds_.free_bytes) {
    return Error{"no space for an artifact in " + folder_, ErrorKind::full};
  }
  bytes_ += bytes;  // before it is written: several threads may store at once
  return success();
}

void ArtifactSpool::unreserve(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ -= bytes;
}

void ArtifactSpool::drop(const Copy& copy) {
  ::unlink(copy.path.c_str());
  unreserve(copy.bytes);
}

// The content may change until it is read, so it is hashed while it is copied.
Result<ArtifactSpool::Copy> ArtifactSpool::copy(const std::string& path) {
  std::error_code failure;
  const auto bytes = fs::file_size(path, failure);
  if (failure) return disk_error("cannot copy " + path + " to " + folder_, failure);
  if (auto space = reserve(bytes); !space) return space.error();
  Copy copy{folder_ + "/copy.XXXXXX", {}, bytes};
  UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd to(::mkstemp(copy.path.data()));
  ArtifactDigest digest;
  std::vector<char> piece(64 * 1024);
  std::uint64_t done = 0;
  while (from && to) {
    const ssize_t got = ::read(from.get(), piece.data(), piece.size());
    if (got == 0 && done == bytes) {
      copy.artifact = digest.id();
      return copy;
    }
    done += static_cast<std::uint64_t>(std::max<ssize_t>(got, 0));
    if (got <= 0 || done > bytes || !write_all(to.get(), piece.data(), static_cast<std::size_t>(got))) break;
    digest.add(piece.data(), static_cast<std::size_t>(got));
  }
  const Error error = disk_error("cannot copy " + path + " to " + folder_);
  drop(copy);
  return error;
}

Result<ArtifactSpool::Copy> ArtifactSpool::write_copy(const std::string& text) {
  if (auto space = reserve(text.size()); !space) return space.error();
  Copy copy{folder_ + "/copy.XXXXXX", {}, text.size()};
  const UniqueFd to(::mkstemp(copy.path.data()));
  if (to && write_all(to.get(), text.data(), text.size())) {
    ArtifactDigest digest;
    digest.add(text.data(), text.size());
    copy.artifact = digest.id();
    return copy;
  }
  const Error error = disk_error("cannot write to " + folder_);
  drop(copy);
  return error;
}

Result<std::string> ArtifactSpool::store_later(const Copy& copy) {
  if (auto published = publish(copy.path, path_of(copy.artifact, true)); !published) {
    drop(copy);
    return published.error();
  }
  add(copy.artifact, copy.bytes, true);
  filled_.notify_all();
  return copy.artifact;
}

void ArtifactSpool::keep_uploaded(const Copy& copy) {
  if (::rename(copy.path.c_str(), path_of(copy.artifact, false).c_str()) != 0) return drop(copy);
  add(copy.artifact, copy.bytes, false);
}

// Only in case that it must be uploaded again: without space for it, it is not kept.
void ArtifactSpool::link_uploaded(const std::string& path, const std::string& artifact) {
  std::error_code failure;
  const auto bytes = fs::file_size(path, failure);
  if (failure || !valid_artifact_id(artifact) || !reserve(bytes)) return;
  const std::string to = path_of(artifact, false);
  ::unlink(to.c_str());
  if (::linkat(AT_FDCWD, path.c_str(), AT_FDCWD, to.c_str(), AT_SYMLINK_FOLLOW) == 0) {
    add(artifact, bytes, false);
  } else {
    unreserve(bytes);
  }
}

// The bytes are reserved. The same content may be here already.
void ArtifactSpool::add(const std::string& artifact, std::uint64_t bytes, bool waits) {
  const std::lock_guard lock(mutex_);
  auto [file, is_new] = files_.try_emplace(artifact);
  if (!is_new) {
    bytes_ -= file->second.bytes;
    // What waits is uploaded in any case: a result may wait for that.
    if (file->second.waits != waits) ::unlink(path_of(artifact, false).c_str());
    waits = waits || file->second.waits;
  }
  file->second.bytes = bytes;
  file->second.waits = waits;
  file->second.needed = true;
  file->second.since = monotonic_now();
}

void ArtifactSpool::remove(Files::iterator file) {
  ::unlink(path_of(file->first, file->second.waits).c_str());
  bytes_ -= std::min(bytes_, file->second.bytes);
  files_.erase(file);
}

void ArtifactSpool::remove_unneeded() {
  const Time until = monotonic_now() - bounds_.unnamed;
  for (auto file = files_.begin(); file != files_.end();) {
    const auto next = std::next(file);
    const File& one = file->second;
    if (!one.waits && one.holds == 0 && (!one.needed || one.since < until)) remove(file);
    file = next;
  }
}

std::string ArtifactSpool::path_of(const std::string& artifact, bool waits) const {
  return folder_ + "/" + artifact + (waits ? "" : std::string(of_uploaded));
}

// ---- uploads

std::string ArtifactSpool::next_upload(int failures, const std::stop_token& stop) {
  const Backoff backoff{std::chrono::milliseconds(500), std::chrono::seconds(15)};
  const auto next = [this] { return std::ranges::find_if(files_, [](const auto& f) { return f.second.waits; }); };
  std::unique_lock lock(mutex_);
  if (failures > 0) {
    filled_.wait_for(lock, stop, backoff.ceiling(failures), [] { return false; });
  } else {
    filled_.wait(lock, stop, [&] { return next() != files_.end(); });
  }
  const auto file = next();
  return file == files_.end() ? std::string() : file->first;
}

void ArtifactSpool::upload_all(const std::stop_token& stop) {
  int failures = 0;
  while (!stop.stop_requested()) {
    const std::string artifact = next_upload(failures, stop);
    if (stop.stop_requested() || artifact.empty()) continue;
    const auto stored = remote_->store_once(path_of(artifact, true), stop);
    if (stop.stop_requested()) return;
    if (!stored && worth_storing_later(stored.error().kind)) {
      complaints_.complain("upload", "artifact " + artifact + " waits on this disk: " + stored.error().message);
      ++failures;
      continue;
    }
    failures = 0;
    const bool taken = stored && *stored == artifact;
    if (taken) {
      uploaded(artifact);
      on_uploaded_(artifact);
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      if (const auto file = files_.find(artifact); file != files_.end()) remove(file);
    }
    on_refused_(artifact, stored ? Error{"the file has changed on the disk"} : stored.error());
  }
}

void ArtifactSpool::uploaded(const std::string& artifact) {
  const std::lock_guard lock(mutex_);
  const auto file = files_.find(artifact);
  if (file == files_.end()) return;
  const bool kept = ::rename(path_of(artifact, true).c_str(), path_of(artifact, false).c_str()) == 0;
  file->second.waits = false;
  file->second.since = monotonic_now();
  if (!kept || !file->second.needed) remove(file);
}

}  // namespace edgefleet::agent
