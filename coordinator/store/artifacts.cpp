#include "coordinator/store/artifacts.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

namespace edgefleet::coordinator {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view prefix = "sha256-";

Error disk_error(const std::string& what) {
  const int code = errno;
  return Error{what + ": " + std::strerror(code),
               code == ENOSPC || code == EDQUOT ? ErrorKind::full : ErrorKind::internal};
}

}  // namespace

struct Artifacts::Upload::Sink {
  std::string path;
  int fd = -1;
  EVP_MD_CTX* digest = EVP_MD_CTX_new();
  Sink() = default;
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  Sink(Sink&&) = delete;
  Sink& operator=(Sink&&) = delete;
  ~Sink() {
    if (fd >= 0) close(fd);
    EVP_MD_CTX_free(digest);
  }
};

Artifacts::Artifacts(std::string directory, const Bounds& bounds) : directory_(std::move(directory)), bounds_(bounds) {}

Result<std::unique_ptr<Artifacts>> Artifacts::open(const std::string& directory, const Bounds& bounds) {
  std::unique_ptr<Artifacts> artifacts(new Artifacts(directory + "/artifacts", bounds));
  std::error_code failure;
  fs::remove_all(artifacts->directory_ + "/incoming", failure);  // of an earlier life
  fs::create_directories(artifacts->directory_ + "/incoming", failure);
  if (failure) return Error{"artifact folder " + artifacts->directory_ + ": " + failure.message()};
  const Time until = monotonic_now() + bounds.lease;
  for (fs::recursive_directory_iterator it(artifacts->directory_, failure), end; !failure && it != end;
       it.increment(failure)) {
    const std::string name = it->path().filename();
    if (!it->is_regular_file(failure) || !valid_id(name)) continue;
    const auto bytes = it->file_size(failure);
    artifacts->entries_[name] = Entry{bytes, until};
    artifacts->total_ += bytes;
  }
  if (failure) return Error{"artifact folder " + artifacts->directory_ + ": " + failure.message()};
  return artifacts;
}

bool Artifacts::valid_id(const std::string& id) {
  return id.size() == prefix.size() + 64 && id.compare(0, prefix.size(), prefix) == 0 &&
         std::all_of(id.begin() + prefix.size(), id.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string Artifacts::path_of(const std::string& id) const {
  return directory_ + "/" + id.substr(prefix.size(), 2) + "/" + id;
}

std::unique_ptr<Artifacts::Upload> Artifacts::upload() { return std::unique_ptr<Upload>(new Upload(*this)); }

Artifacts::Upload::Upload(Artifacts& artifacts) : artifacts_(artifacts), sink_(std::make_unique<Sink>()) {
  {
    const std::lock_guard lock(artifacts_.mutex_);
    sink_->path = artifacts_.directory_ + "/incoming/" + std::to_string(++artifacts_.last_upload_);
  }
  sink_->fd = ::open(sink_->path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  EVP_DigestInit_ex(sink_->digest, EVP_sha256(), nullptr);
}

Artifacts::Upload::~Upload() {
  ::unlink(sink_->path.c_str());  // gone already when it was finished
  const std::lock_guard lock(artifacts_.mutex_);
  artifacts_.pending_ -= bytes_;
}

Status Artifacts::Upload::write(const char* data, std::size_t bytes) {
  if (sink_->fd < 0) return disk_error("the artifact cannot be written");
  if (bytes_ + bytes > artifacts_.bounds_.file_bytes) {
    return Error{"the artifact is larger than " + std::to_string(artifacts_.bounds_.file_bytes) + " bytes",
                 ErrorKind::too_large};
  }
  {
    const std::lock_guard lock(artifacts_.mutex_);
    if (artifacts_.total_ + artifacts_.pending_ + bytes > artifacts_.bounds_.total_bytes) {
      return Error{"the artifacts fill their quota of " + std::to_string(artifacts_.bounds_.total_bytes) + " bytes",
                   ErrorKind::full};
    }
    artifacts_.pending_ += bytes;
    bytes_ += bytes;
  }
  EVP_DigestUpdate(sink_->digest, data, bytes);
  while (bytes > 0) {
    const ssize_t written = ::write(sink_->fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return disk_error("the artifact cannot be written");
    data += written;
    bytes -= static_cast<std::size_t>(written);
  }
  return success();
}

Result<Artifacts::Stored> Artifacts::Upload::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  EVP_DigestFinal_ex(sink_->digest, digest.data(), nullptr);
  Stored stored{std::string(prefix), bytes_, true};
  for (std::size_t i = 0; i < 32; ++i) {
    constexpr std::string_view hex = "0123456789abcdef";
    stored.id += hex[digest[i] >> 4U];
    stored.id += hex[digest[i] & 15U];
  }
  if (sink_->fd < 0 || ::fsync(sink_->fd) != 0) return disk_error("the artifact cannot be written");
  const std::string path = artifacts_.path_of(stored.id);
  std::error_code failure;
  fs::create_directories(fs::path(path).parent_path(), failure);
  const std::lock_guard lock(artifacts_.mutex_);
  auto& entry = artifacts_.entries_[stored.id];
  stored.is_new = entry.bytes == 0 && !fs::exists(path, failure);
  entry.leased_until = monotonic_now() + artifacts_.bounds_.lease;
  if (!stored.is_new) return stored;
  if (::rename(sink_->path.c_str(), path.c_str()) != 0) {
    artifacts_.entries_.erase(stored.id);
    return disk_error("the artifact cannot be kept");
  }
  entry.bytes = bytes_;
  artifacts_.total_ += bytes_;
  return stored;
}

Result<std::string> Artifacts::find(const std::string& id) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end()) {
    return Error{"artifact " + id.substr(0, 80) + " is not here; upload it with PUT /api/v1/artifacts",
                 ErrorKind::not_found};
  }
  entry->second.leased_until = std::max(entry->second.leased_until, monotonic_now() + bounds_.lease);
  return path_of(id);
}

std::vector<std::string> Artifacts::unleased(Time now) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [id, entry] : entries_) {
    if (entry.leased_until < now) all.push_back(id);
  }
  return all;
}

void Artifacts::remove(const std::string& id, Time now) {
  const std::lock_guard lock(mutex_);
  const auto entry = entries_.find(id);
  if (entry == entries_.end() || entry->second.leased_until >= now) return;  // leased again meanwhile
  ::unlink(path_of(id).c_str());
  total_ -= entry->second.bytes;
  entries_.erase(entry);
}

std::uint64_t Artifacts::total_bytes() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

}  // namespace edgefleet::coordinator
