#include "common/http/part_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "common/core/error_text.hpp"
#include "common/core/ids.hpp"
#include "common/system/entropy.hpp"

namespace edgefleet::http {
namespace {

Error cannot_write(const std::string& path, int code) {
  const auto kind = code == ENOSPC || code == EDQUOT ? ErrorKind::full : ErrorKind::invalid;
  return Error{"cannot write " + path + ": " + error_text(code), kind};
}

}  // namespace

Result<PartFile> PartFile::create(std::string path) {
  std::string part = path + ".part-" + new_session_id().str().substr(0, 12);
  const int descriptor = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) return cannot_write(path, errno);
  return PartFile(std::move(path), std::move(part), descriptor);
}

PartFile::PartFile(std::string path, std::string part, int descriptor)
    : path_(std::move(path)), part_(std::move(part)), descriptor_(descriptor) {}

PartFile::PartFile(PartFile&& other) noexcept
    : path_(std::move(other.path_)),
      part_(std::exchange(other.part_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

PartFile::~PartFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

Error PartFile::failure() const { return cannot_write(path_, errno); }

Status PartFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure();
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return success();
}

Status PartFile::commit() {
  if (::close(std::exchange(descriptor_, -1)) != 0) return failure();
  if (std::rename(part_.c_str(), path_.c_str()) != 0) return failure();
  part_.clear();
  return success();
}

}  // namespace edgefleet::http
