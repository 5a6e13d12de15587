#include "edge-agent/shell/spool.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/core/artifact_id.hpp"
#include "common/core/backoff.hpp"
#include "common/files/artifact_digest.hpp"
#include "common/files/durable_write.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;
constexpr const char* fresh = ".new";  // not yet complete
constexpr std::uintmax_t largest_result = 2 * limits::payload_bytes;
constexpr std::size_t most_unknown_results = 1000;
constexpr std::size_t most_results = 2048;  // read at the start; the core's bound is lower

// A file appears under its name only when all of it is on the disk.
Status publish(const std::string& from, const std::string& to) {
  auto done = sync_file(from);
  if (done) done = rename_durably(from, to);
  if (!done) ::unlink(from.c_str());
  return done;
}

Result<TaskResult> read_result(const std::string& path) {
  std::error_code failure;
  // A link or a pipe is not ours: commands have the same user.
  if (fs::symlink_status(path, failure).type() != fs::file_type::regular) return Error{"it is not a file"};
  if (fs::file_size(path, failure) > largest_result || failure) return Error{"it is larger than a result can be"};
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  auto decoded = protocol::decode_results(text);
  if (!decoded) return decoded.error();
  if (decoded->results.good.size() != 1) return Error{"it does not hold one result"};
  return std::move(decoded->results.good.front());
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

// ---- results

std::string ResultSpool::path_of(const AttemptKey& key) const {
  return folder_ + "/" + key.id.str() + "-" + std::to_string(key.attempt) + ".json";
}

std::vector<TaskResult> ResultSpool::load(std::vector<std::string>& complaints) const {
  std::vector<TaskResult> all;
  for (const auto& path : files_in(folder_)) {
    const auto extension = fs::path(path).extension();
    std::error_code failure;
    if (extension == fresh) fs::remove(path, failure);  // was never complete
    if (extension != ".json" || all.size() >= most_results) continue;
    if (auto kept = read_result(path)) {
      all.push_back(std::move(*kept));
    } else {
      fs::rename(path, path + ".bad", failure);
      complaints.push_back(path + " cannot be read, it is kept as *.bad: " + kept.error().message);
    }
  }
  return all;
}

Status ResultSpool::write(const TaskResult& result) const {
  const std::string temporary = path_of({result.id, result.attempt}) + fresh;
  std::size_t first = 0;
  const std::string text = protocol::encode_results(*SessionId::parse("spooled"), {result}, first) + '\n';
  const UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file && write_all(file.get(), text.data(), text.size())) return success();
  const Error error = disk_error("cannot write " + temporary);
  ::unlink(temporary.c_str());
  return error;
}

// Two waits for the disk, for any number of files: the contents, then the names.
Status ResultSpool::publish_all(const std::vector<TaskResult>& results, const std::set<std::string>& paths) const {
  std::error_code failure;
  fs::create_directories(folder_, failure);
  const UniqueFd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return disk_error("cannot use " + folder_);
  for (const auto& result : results) {
    if (auto written = write(result); !written) return written;
  }
  if (::syncfs(folder.get()) != 0) return disk_error("cannot sync " + folder_);
  for (const auto& path : paths) {
    if (::rename((path + fresh).c_str(), path.c_str()) != 0) return disk_error("cannot write " + path);
  }
  return ::fsync(folder.get()) == 0 ? success() : Status(disk_error("cannot sync " + folder_));
}

Status ResultSpool::keep(const std::vector<TaskResult>& results) const {
  std::set<std::string> paths;
  for (const auto& result : results) paths.insert(path_of({result.id, result.attempt}));
  auto published = publish_all(results, paths);
  if (published) return published;
  // Files that are not listed would never be removed.
  for (const auto& path : paths) {
    ::unlink(path.c_str());
    ::unlink((path + fresh).c_str());
  }
  return published;
}

void ResultSpool::forget(const AttemptKey& key) const { ::unlink(path_of(key).c_str()); }

Result<std::string> keep_for_person(const std::string& folder, const SessionId& session, const TaskResult& result) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (files_in(folder).size() >= most_unknown_results) {
    return Error{folder + " already has " + std::to_string(most_unknown_results) + " of them; empty it",
                 ErrorKind::full};
  }
  const std::string path = folder + "/" + result.id.str() + "-" + std::to_string(result.attempt) + ".json";
  const std::string temporary = path + fresh;
  std::size_t first = 0;
  const std::string text = protocol::encode_results(session, {result}, first) + '\n';
  const UniqueFd file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file || !write_all(file.get(), text.data(), text.size())) {
    const Error error = disk_error("cannot write " + temporary);
    ::unlink(temporary.c_str());
    return error;
  }
  if (auto published = publish(temporary, path); !published) return published.error();
  return path;
}

// ---- artifacts

ArtifactSpool::ArtifactSpool(std::string folder, std::unique_ptr<HttpArtifacts> remote, Bounds bounds)
    : folder_(std::move(folder)), remote_(std::move(remote)), bounds_(bounds) {
  for (const auto& path : files_in(folder_)) {
    const std::string name = fs::path(path).filename().string();
    std::error_code failure;
    const bool regular = fs::symlink_status(path, failure).type() == fs::file_type::regular;
    if (!regular || !valid_artifact_id(name)) {
      fs::remove(path, failure);  // was never complete, or is a link
      continue;
    }
    bytes_ += fs::file_size(path, failure);
    waiting_.insert(name);
  }
}

ArtifactSpool::~ArtifactSpool() = default;

void ArtifactSpool::start(OnUploaded on_uploaded, OnRefused on_refused) {
  on_uploaded_ = std::move(on_uploaded);
  on_refused_ = std::move(on_refused);
  uploader_ = std::jthread([this](const std::stop_token& stop) { upload_all(stop); });
}

void ArtifactSpool::stop() { uploader_ = {}; }

std::set<std::string> ArtifactSpool::named_in(const JsonText& output) const {
  const std::lock_guard lock(mutex_);
  std::set<std::string> named;
  for (const auto& artifact : waiting_) {
    if (output.find(artifact) != std::string::npos) named.insert(artifact);
  }
  return named;
}

Status ArtifactSpool::fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
                            std::stop_token stop) {
  return remote_->fetch(artifact, to_path, most_bytes, std::move(stop));
}

Result<std::string> ArtifactSpool::store(const std::string& path, std::stop_token stop) {
  auto stored = remote_->store_once(path, stop);
  if (stored || !worth_storing_later(stored.error().kind) || stop.stop_requested()) return stored;
  if (remote_->wrong_address(stop)) return stored;  // kept here, it would never be uploaded
  auto kept = keep(path);
  if (kept) return kept;
  return remote_->store(path, std::move(stop));  // no space here: the task keeps its slot until the file is uploaded
}

Result<std::string> ArtifactSpool::keep(const std::string& path) {
  std::error_code failure;
  fs::create_directories(folder_, failure);
  const auto bytes = fs::file_size(path, failure);
  const auto space = fs::space(folder_, failure);
  {
    const std::lock_guard lock(mutex_);
    if (failure || bytes_ + bytes > bounds_.bytes || space.available < bytes + bounds_.free_bytes) {
      return Error{"no space for an artifact in " + folder_, ErrorKind::full};
    }
    bytes_ += bytes;  // before it is written: several threads may store at once
  }
  auto copied = copy_and_name(path);
  const std::lock_guard lock(mutex_);
  const bool is_new = copied.ok() && waiting_.insert(*copied).second;
  if (!is_new) bytes_ -= bytes;
  if (copied) filled_.notify_all();
  return copied;
}

// The content may change until it is read, so it is hashed while it is copied.
Result<std::string> ArtifactSpool::copy_and_name(const std::string& path) {
  std::string temporary = folder_ + "/copy.XXXXXX";
  UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  UniqueFd to(::mkstemp(temporary.data()));
  if (!from || !to) return disk_error("cannot copy " + path + " to " + folder_);
  ArtifactDigest digest;
  std::vector<char> piece(64 * 1024);
  for (;;) {
    const ssize_t got = ::read(from.get(), piece.data(), piece.size());
    if (got == 0) break;
    if (got < 0 || !write_all(to.get(), piece.data(), static_cast<std::size_t>(got))) {
      const Error error = disk_error("cannot copy " + path + " to " + folder_);
      ::unlink(temporary.c_str());
      return error;
    }
    digest.add(piece.data(), static_cast<std::size_t>(got));
  }
  to.reset();
  const std::string artifact = digest.id();
  if (auto published = publish(temporary, folder_ + "/" + artifact); !published) return published.error();
  return artifact;
}

void ArtifactSpool::upload_all(const std::stop_token& stop) {
  const Backoff backoff{std::chrono::milliseconds(500), std::chrono::seconds(15)};
  int failures = 0;
  while (!stop.stop_requested()) {
    std::string artifact;
    {
      std::unique_lock lock(mutex_);
      if (failures > 0) {
        filled_.wait_for(lock, stop, backoff.ceiling(failures), [] { return false; });
      } else {
        filled_.wait(lock, stop, [this] { return !waiting_.empty(); });
      }
      if (stop.stop_requested() || waiting_.empty()) continue;
      artifact = *waiting_.begin();
    }
    const std::string path = folder_ + "/" + artifact;
    const auto stored = remote_->store_once(path, stop);
    if (stop.stop_requested()) return;
    if (!stored && worth_storing_later(stored.error().kind)) {
      complaints_.complain("upload", "artifact " + artifact + " waits on this disk: " + stored.error().message);
      ++failures;
      continue;
    }
    failures = 0;
    {
      const std::lock_guard lock(mutex_);
      std::error_code failure;
      const auto bytes = fs::file_size(path, failure);
      bytes_ -= failure ? 0 : std::min<std::uint64_t>(bytes, bytes_);
      waiting_.erase(artifact);
    }
    ::unlink(path.c_str());
    if (stored && *stored == artifact) {
      on_uploaded_(artifact);
    } else {
      on_refused_(artifact, stored ? Error{"the file has changed on the disk"} : stored.error());
    }
  }
}

}  // namespace edgefleet::agent
