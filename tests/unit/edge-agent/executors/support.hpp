// Shared by the tests of executors: temporary folders, a folder as artifact store, a log in memory, waiting.
#pragma once

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/core/fnv.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/files/scratch.hpp"
#include "edge-agent/executors/process/spawner.hpp"
#include "edge-agent/executors/process_services.hpp"
#include "tests/support/temporary.hpp"

namespace edgefleet::agent::test {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

using TempDir = edgefleet::test::TemporaryFolder;

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

// Polls a condition for at most ten seconds.
inline bool eventually(const std::function<bool()>& condition) {
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(2ms);
  }
  return true;
}

// A zombie counts as ended: it does not run. (In a container, orphans may never be reaped.)
inline bool gone(pid_t pid) {
  std::istringstream stat(read_file("/proc/" + std::to_string(pid) + "/stat"));
  std::string number, name, state;
  stat >> number >> name >> state;
  return state.empty() || state == "Z" || state == "X";
}

inline pid_t read_pid(const std::string& path) {
  const std::string text = read_file(path);
  return text.empty() || text.back() != '\n' ? 0 : std::stoi(text);
}

// Not a real SHA-256: an id only has to look like one, and to depend on the content.
inline std::string id_of(const std::string& content) {
  std::uint64_t hash = fnv1a(content);
  std::ostringstream text;
  for (int i = 0; i < 4; ++i) {
    text << std::hex;
    text.width(16);
    text.fill('0');
    text << hash;
    hash *= 0x9E3779B97F4A7C15ULL;
  }
  return "sha256-" + text.str();
}

class FolderStore final : public ArtifactStore {
 public:
  explicit FolderStore(std::string dir) : dir_(std::move(dir)) { fs::create_directories(dir_); }

  std::string put(const std::string& content) {
    const std::string id = id_of(content);
    write_file(dir_ + '/' + id, content);
    return id;
  }
  [[nodiscard]] std::string get(const std::string& id) const { return read_file(dir_ + '/' + id); }
  std::atomic<bool> unreachable{false};

  Status fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
               std::stop_token stop) override {
    while (unreachable && !stop.stop_requested()) std::this_thread::sleep_for(1ms);
    if (stop.stop_requested()) return Error{"nobody answers", ErrorKind::unavailable};
    if (!fs::exists(dir_ + '/' + artifact)) return Error{"there is no " + artifact, ErrorKind::not_found};
    if (fs::file_size(dir_ + '/' + artifact) > most_bytes) return Error{"too much", ErrorKind::too_large};
    write_file(to_path, read_file(dir_ + '/' + artifact));
    return success();
  }
  Result<std::string> store(const std::string& path, std::stop_token /*stop*/) override { return put(read_file(path)); }

 private:
  std::string dir_;
};

class Lines {
 public:
  [[nodiscard]] ExecutorLog log() {
    return [this](Severity, const std::string& text) {
      const std::lock_guard lock(mutex_);
      lines_.push_back(text);
    };
  }
  [[nodiscard]] bool holds(const std::string& part) const {
    const std::lock_guard lock(mutex_);
    for (const auto& line : lines_) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return lines_.size();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Everything that an executor needs, in a temporary folder.
struct Bench {
  TempDir dir;
  Lines lines;
  std::shared_ptr<FolderStore> store = std::make_shared<FolderStore>(dir / "store");
  ProcessServices services{std::make_shared<Spawner>(), ScratchRoot::open(dir / "work", lines.log()).value(), store,
                           lines.log()};

  // Folders of attempts that are left.
  [[nodiscard]] int scratches() const {
    int count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(dir / "work")) {
      count += entry.path().filename() == "out" ? 1 : 0;
    }
    return count;
  }
};

inline Job job(const std::string& capability, JsonText input, Duration timeout = 30s, int number = 1) {
  std::array<char, 32> id{};
  std::snprintf(id.data(), id.size(), "01J%023d", number);
  return {*TaskId::parse(id.data()), 1, *Capability::parse(capability), std::move(input), timeout};
}

inline json::Object object(const std::string& text) {
  auto read = json::Object::read(text);
  return read ? *read : json::Object();
}
inline std::string raw(const std::string& text, const std::string& key) {
  return std::string(object(text).find(key).value_or(""));
}
inline std::string text_at(const std::string& text, const std::string& key) {
  return json::as_string(raw(text, key)).value_or("<none>");
}

}  // namespace edgefleet::agent::test
