#include "edge-agent/shell/spool.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/files/durable_write.hpp"
#include "common/protocol/codec.hpp"
#include "common/protocol/fields.hpp"
#include "edge-agent/executors/process/unique_fd.hpp"
#include "edge-agent/shell/spool_files.hpp"

namespace edgefleet::agent {
namespace {

namespace fs = std::filesystem;
constexpr const char* fresh = ".new";  // not yet complete
constexpr std::uintmax_t largest_result = 2 * limits::payload_bytes;
constexpr std::size_t most_unknown_results = 1000;
constexpr std::size_t most_results = 2048;  // read at the start; the core's bound is lower

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

}  // namespace edgefleet::agent
