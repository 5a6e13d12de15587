// agent.toml: with any content, the agent starts with settings that are within their bounds, or reports an error. Read
// again, the same content is the same configuration, or the same error.
#include "edge-agent/shell/settings.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <iostream>
#include <sstream>

#include "edge-agent/shell/settings_change.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::fuzz;

namespace {

// A file in memory, with a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view content) : fd_(::memfd_create("agent.toml", MFD_CLOEXEC)) {
    require(fd_ >= 0 && ::write(fd_, content.data(), content.size()) == static_cast<ssize_t>(content.size()),
            "there is memory for a file");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  MemoryFile(MemoryFile&&) = delete;
  MemoryFile& operator=(MemoryFile&&) = delete;
  ~MemoryFile() { ::close(fd_); }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

// Captures the messages to the user.
class Said {
 public:
  Said() : before_(std::cerr.rdbuf(text_.rdbuf())) {}
  Said(const Said&) = delete;
  Said& operator=(const Said&) = delete;
  Said(Said&&) = delete;
  Said& operator=(Said&&) = delete;
  ~Said() { std::cerr.rdbuf(before_); }
  [[nodiscard]] std::string str() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::streambuf* before_;
};

bool celsius(double value) { return value >= 0 && value <= 120; }

void check(const Settings& s) {
  require(s.echo >= 0 && s.echo <= 10'000, "slots of echo are bounded");
  require(s.max_held >= 1 && s.max_held <= 1024, "the number of held tasks is bounded");
  require(s.stop_grace_s >= 0 && s.stop_grace_s <= 3600, "the grace is bounded");
  require(celsius(s.normal_celsius) && celsius(s.reduce_celsius) && celsius(s.pause_celsius), "limits are degrees");
  require(s.labels.size() <= limits::labels, "labels are bounded");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const MemoryFile file(text_of(data, size));
  const std::string path = file.path();
  const std::array<const char*, 3> arguments{program, "--config", path.c_str()};
  const Said said;
  Settings settings;
  if (const auto code = read_settings(settings, arguments.size(), arguments.data())) {
    require(*code == 2, "an invalid file is a usage error");
    require(!said.str().empty(), "the error of the file is reported");
    require(!read_settings_again(arguments.size(), arguments.data()), "a file that the start refuses changes nothing");
    return 0;
  }
  check(settings);
  const auto again = read_settings_again(arguments.size(), arguments.data());
  require(again && changes_text(difference(settings, *again)).empty(), "the same file changes nothing");
  settings.password_file.clear();  // could be a device that never ends
  const auto options = loop_options(settings);
  if (!options) return 0;
  const HeatLimits& heat = options->heat;
  require(heat.normal < heat.reduce && heat.reduce < heat.pause, "the heat limits increase");
  return 0;
}
