#include "coordinator/access/broker_generation.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "common/files/durable_write.hpp"
#include "common/files/text_digest.hpp"
#include "coordinator/access/broker_files.hpp"

namespace edgefleet::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr mode_t file_mode = 0640;
constexpr mode_t folder_mode = 0750;
constexpr std::size_t number_width = 6;
constexpr std::uint64_t most_running = 1'000'000'000'000;  // a greater one is no work of ours
constexpr std::size_t id_digits = 16;  // of the digest

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int get() const { return fd_; }

 private:
  int fd_;
};

// Group first: a change of the owner clears bits of the mode. The umask has no say.
bool give(int fd, const std::optional<gid_t>& group, mode_t mode) {
  return (!group || ::fchown(fd, static_cast<uid_t>(-1), *group) == 0) && ::fchmod(fd, mode) == 0;
}

Status write_file(const std::string& path, const std::string& text, const std::optional<gid_t>& group) {
  // Nobody else may open it before it has its group.
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.get() < 0) return disk_error(path + " cannot be created");
  if (!give(file.get(), group, file_mode)) return disk_error("the group or mode of " + path + " cannot be set");
  if (!write_all(file.get(), text.data(), text.size()) || ::fsync(file.get()) != 0)
    return disk_error(path + " cannot be written");
  return success();
}

// Its setgid bit stays, so that what is created in it has its group.
Status make_folder(const std::string& path, const std::optional<gid_t>& group) {
  if (::mkdir(path.c_str(), 0700) != 0) return disk_error("the folder " + path + " cannot be created");
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  struct stat info{};
  if (folder.get() < 0 || ::fstat(folder.get(), &info) != 0 ||
      !give(folder.get(), group, folder_mode | (info.st_mode & S_ISGID)))
    return disk_error("the group or mode of the folder " + path + " cannot be set");
  return success();
}

// 0: it is no generation.
std::uint64_t number_of(const std::string& name) {
  const bool digits = name.size() >= number_width && name.size() <= 18 &&
                      std::ranges::all_of(name, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? std::strtoull(name.c_str(), nullptr, 10) : 0;
}

std::string name_of_number(std::uint64_t number) {
  std::string name = std::to_string(number);
  return name.size() >= number_width ? name : std::string(number_width - name.size(), '0') + name;
}

struct Found {
  std::vector<std::string> generations;  // the oldest first
  std::vector<std::string> unfinished;
};

Result<Found> look_into(const std::string& generations) {
  Found found;
  std::error_code failure;
  for (fs::directory_iterator entry(generations, failure), end; !failure && entry != end; entry.increment(failure)) {
    const std::string name = entry->path().filename().string();
    (number_of(name) > 0 ? found.generations : found.unfinished).push_back(name);
  }
  if (failure) return disk_error("the folder " + generations + " cannot be read", failure);
  std::ranges::sort(found.generations, {}, number_of);
  return found;
}

std::vector<std::pair<std::string, std::string>> files_of(const BrokerTexts& texts, const std::string& number) {
  std::vector<std::pair<std::string, std::string>> files{
      {broker_file::configuration, texts.configuration}, {broker_file::agents_acl, texts.agents_acl},
      {broker_file::people_acl, texts.people_acl},       {broker_file::passwords, texts.passwords},
      {broker_file::authority, texts.authority},         {broker_file::revoked, texts.revoked},
      {broker_file::certificate, texts.certificate},     {broker_file::key, texts.key}};
  std::string sums;
  for (const auto& [name, text] : files) sums += sha256(text) + "  " + name + '\n';
  const std::string id = number + '-' + sha256(sums).substr(0, id_digits) + '\n';
  files.emplace_back("SHA256SUMS", std::move(sums));
  files.emplace_back("id", id);
  return files;
}

// A failure to remove harms nobody: the next call tries again.
void remove(const std::string& folder, const std::string& name) {
  std::error_code ignored;
  fs::remove_all(folder + '/' + name, ignored);
}

class Writing {
 public:
  Writing(const BrokerFolder& folder, const std::function<void()>& between)
      : folder_(folder), between_(between), generations_(folder.path + "/generations") {}

  Result<std::string> write(const BrokerTexts& texts) {
    auto found = begin();
    if (!found) return found.error();
    // The folder may be older than what runs: it was put back from a copy.
    const std::uint64_t running = number_of(folder_.running.substr(0, folder_.running.find('-')));
    const std::uint64_t present = found->generations.empty() ? 0 : number_of(found->generations.back());
    const std::uint64_t last = running > most_running ? present : std::max(present, running);
    const std::string name = name_of_number(last + 1);
    const auto files = files_of(texts, name);
    if (auto done = fill(name, files); !done) return done.error();
    if (auto done = point_to(name); !done) return done.error();
    found->generations.push_back(name);
    remove_old(found->generations);
    return files.back().second.substr(0, files.back().second.size() - 1);
  }

 private:
  void step() const {
    if (between_) between_();
  }

  // The generations that are there; what is unfinished is removed.
  Result<Found> begin() {
    step();
    std::error_code ignored;
    if (!fs::is_directory(generations_, ignored)) {
      if (auto made = make_folder(generations_, folder_.group); !made) return made.error();
      if (auto synced = sync_file(folder_.path); !synced) return synced.error();
    }
    step();
    auto found = look_into(generations_);
    if (!found) return found;
    for (const std::string& name : found->unfinished) remove(generations_, name);
    return found;
  }

  // The folder has its name only when all is in it.
  Status fill(const std::string& name, const std::vector<std::pair<std::string, std::string>>& files) {
    const std::string unfinished = generations_ + "/unfinished-" + name;
    step();
    if (auto made = make_folder(unfinished, folder_.group); !made) return made;
    for (const auto& [file, text] : files) {
      step();
      if (auto written = write_file(unfinished + '/' + file, text, folder_.group); !written) return written;
    }
    step();
    if (auto synced = sync_file(unfinished); !synced) return synced;
    step();
    return rename_durably(unfinished, generations_ + '/' + name);
  }

  Status point_to(const std::string& name) {
    const std::string next = folder_.path + "/current.new";
    step();
    if (::unlink(next.c_str()) != 0 && errno != ENOENT) return disk_error(next + " cannot be removed");
    step();
    if (::symlink(("generations/" + name).c_str(), next.c_str()) != 0) return disk_error(next + " cannot be created");
    step();
    return rename_durably(next, folder_.path + "/current");
  }

  void remove_old(const std::vector<std::string>& generations) {
    for (std::size_t i = 0; i + generations_kept < generations.size(); ++i) {
      step();
      remove(generations_, generations[i]);
    }
    step();
  }

  const BrokerFolder& folder_;
  const std::function<void()>& between_;
  const std::string generations_;
};

}  // namespace

Result<std::string> write_generation(const BrokerFolder& folder, const BrokerTexts& texts,
                                     const std::function<void()>& between) {
  return Writing(folder, between).write(texts);
}

bool has_generation(const std::string& folder, const BrokerTexts& texts) {
  const std::string id = current_generation(folder);
  return !id.empty() && files_of(texts, id.substr(0, id.find('-'))).back().second == id + '\n';
}

std::string current_generation(const std::string& folder) {
  std::ifstream file(folder + "/current/id");
  std::string id;
  std::getline(file, id);
  return id;
}

// First the file, then its text: on a full disk, an empty file stops the broker too.
Status stop_broker(const BrokerFolder& folder, const std::string& why) {
  const std::string path = folder.path + "/stop";
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, file_mode));
  if (file.get() < 0) return disk_error(path + " cannot be created");
  give(file.get(), folder.group, file_mode);
  const std::string line = why + '\n';
  if (write_all(file.get(), line.data(), line.size())) ::fsync(file.get());
  return sync_file(folder.path);
}

Status release_broker(const std::string& folder) {
  const std::string path = folder + "/stop";
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return disk_error(path + " cannot be removed");
  return sync_file(folder);
}

}  // namespace edgefleet::coordinator
