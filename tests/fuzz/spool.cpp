// A result that an earlier run of the agent has left on the disk, or that a failing SD card has corrupted.
#include "edge-agent/shell/spool.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/protocol/json.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::fuzz;
namespace fs = std::filesystem;

namespace {

// In memory: a run must not wait for a disk.
struct Folder {
  std::string path = "/dev/shm/edgefleet-fuzz-" + std::to_string(::getpid());
  Folder() { fs::create_directories(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  Folder(Folder&&) = delete;
  Folder& operator=(Folder&&) = delete;
  ~Folder() { fs::remove_all(path); }
  void empty() const {
    for (const auto& entry : fs::directory_iterator(path)) fs::remove(entry.path());
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Folder folder;
  folder.empty();
  const auto text = text_of(data, size);
  const std::string path = folder.path + "/result.json";
  std::ofstream(path, std::ios::binary).write(text.data(), static_cast<std::streamsize>(text.size()));
  const ResultSpool spool(folder.path);

  std::vector<std::string> complaints;
  const auto first = spool.load(complaints);
  require(first.size() + complaints.size() == 1, "a file is read, or set aside with a message");
  require(fs::exists(path + ".bad") == first.empty(), "an unreadable file is kept for inspection");
  if (first.empty()) return 0;

  folder.empty();
  require(spool.keep(first).ok(), "a result that was read can be stored again");
  const auto again = spool.load(complaints);
  require(again.size() == 1 && complaints.empty(), "a stored result can be read again");
  require(again[0] == first[0], "it stays the same");
  spool.forget({first[0].id, first[0].attempt});
  require(spool.load(complaints).empty(), "a forgotten result is removed");
  return 0;
}
