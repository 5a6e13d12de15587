#include "coordinator/store/files.hpp"

#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "coordinator/store/artifacts.hpp"
#include "coordinator/store/copy.hpp"

namespace edgefleet::coordinator {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view prefix = "sha256-";

Error error_of(const std::string& what, const std::error_code& code) {
  const bool full = code == std::errc::no_space_on_device;
  return Error{what + ": " + code.message(), full ? ErrorKind::full : ErrorKind::internal};
}

Status link_or_copy(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0 || errno == EEXIST) return success();
  if (errno == ENOENT) return success();  // it has gone meanwhile: no task names it any more
  const std::string partial = to + ".partial";
  std::error_code failure;
  fs::copy_file(from, partial, fs::copy_options::overwrite_existing, failure);
  if (!failure) fs::rename(partial, to, failure);
  if (!failure) return success();
  std::error_code ignored;
  fs::remove(partial, ignored);
  return error_of("copying " + from + " to " + to, failure);
}

}  // namespace

std::string artifact_path(const std::string& folder, const std::string& id) {
  return folder + "/" + id.substr(prefix.size(), 2) + "/" + id;
}

Status for_each_artifact(const std::string& folder,
                         const std::function<void(const std::string& id, std::uint64_t bytes)>& use,
                         const std::function<void(const std::string& path)>& strange) {
  std::error_code failure;
  if (!fs::exists(folder, failure)) return success();
  fs::recursive_directory_iterator it(folder, failure);
  for (const fs::recursive_directory_iterator end; !failure && it != end; it.increment(failure)) {
    if (it->path().filename() == "incoming") {  // uploads under way
      it.disable_recursion_pending();
      continue;
    }
    std::error_code gone;
    if (!it->is_regular_file(gone)) continue;
    const auto bytes = it->file_size(gone);
    if (gone) continue;
    const std::string id = it->path().filename();
    if (Artifacts::valid_id(id) && it->path() == artifact_path(folder, id)) {
      use(id, bytes);
    } else if (strange) {
      strange(it->path());
    }
  }
  return failure ? Status(error_of("reading " + folder, failure)) : success();
}

Result<std::string> artifact_id_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr);
  std::array<char, 64 * 1024> buffer{};
  while (file.read(buffer.data(), buffer.size()), file.gcount() > 0) {
    EVP_DigestUpdate(digest.get(), buffer.data(), static_cast<std::size_t>(file.gcount()));
  }
  if (!file.eof()) return Error{path + " cannot be read: " + std::strerror(errno)};
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  EVP_DigestFinal_ex(digest.get(), bytes.data(), nullptr);
  std::string id(prefix);
  for (std::size_t i = 0; i < 32; ++i) {
    constexpr std::string_view hex = "0123456789abcdef";
    id += hex[bytes.at(i) >> 4U];
    id += hex[bytes.at(i) & 15U];
  }
  return id;
}

Result<Taken> take_artifacts(const std::string& from, const std::string& to, const Tell& tell) {
  Taken taken;
  Status status = success();
  Progress progress(tell);
  const auto take = [&](const std::string& id, std::uint64_t bytes) {
    if (!status) return;
    const std::string target = artifact_path(to, id);
    std::error_code failure;
    fs::create_directories(fs::path(target).parent_path(), failure);
    status = failure ? Status(error_of("making a folder for " + target, failure))
                     : link_or_copy(artifact_path(from, id), target);
    ++taken.files;
    taken.bytes += bytes;
    progress.at([&] { return std::to_string(taken.files) + " artifacts, " + show_bytes(taken.bytes); });
  };
  auto listed = for_each_artifact(from, take);
  if (!listed) return listed.error();
  if (!status) return status.error();
  return taken;
}

}  // namespace edgefleet::coordinator
