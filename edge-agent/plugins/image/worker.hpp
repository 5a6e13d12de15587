// A task in a process of its own, forked from the plug-in: a decoder that crashes or uses all memory fails only one
// task, and a cancel kills the process at once, in any state of the library.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

#include "common/core/line_reader.hpp"
#include "common/core/result.hpp"
#include "edge-agent/plugins/image/picture.hpp"
#include "edge-agent/plugins/image/protocol.hpp"
#include "edge-agent/plugins/image/request.hpp"

namespace edgefleet::image {

// Bounds the address space of this process, and of those that it forks, by what the largest picture needs. A file can
// claim more, for instance one pixel in a tile of 16384 x 16384: its task fails, and the device does not run out of
// memory.
Status bound_memory(const Limits& limits);

class Worker {
 public:
  struct Progress {
    int percent = 0;
    std::string text;
  };
  using OnProgress = std::function<void(const Progress&)>;

  // Forks; the calling process must have one thread only.
  static Result<Worker> start(TaskKey key, const Request& request, const Limits& limits);

  Worker(Worker&& other) noexcept;
  Worker& operator=(Worker&& other) noexcept;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // kills a process that still runs

  [[nodiscard]] const TaskKey& key() const { return key_; }
  [[nodiscard]] int fd() const { return fd_; }  // readable when read() has data

  // True once the process has ended; then take_outcome() has the task's outcome.
  bool read(const OnProgress& on_progress);
  void cancel();
  std::variant<nlohmann::json, Failure> take_outcome();

 private:
  Worker(TaskKey key, pid_t pid, int fd) : key_(std::move(key)), pid_(pid), fd_(fd) {}
  void on_line(std::string_view line, const OnProgress& on_progress);
  int reap();  // the wait status

  TaskKey key_;
  pid_t pid_ = -1;
  int fd_ = -1;
  bool cancelled_ = false;
  LineReader lines_{kMostLine, LineReader::Overlong::drop};
  std::optional<std::variant<nlohmann::json, Failure>> outcome_;
};

// Writes all of it; false: the other end is closed.
bool write_all(int fd, std::string_view bytes);

}  // namespace edgefleet::image
