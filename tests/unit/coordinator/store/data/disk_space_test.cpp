#include "coordinator/store/data/disk_space.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

// A disk and a clock that the test sets.
struct Disk {
  std::uint64_t available = 10'000;
  std::uint64_t reusable = 0;
  Time now{};
  std::vector<std::string> lines;
  DiskSpace space;

  explicit Disk(std::uint64_t keep, std::uint64_t capacity = 1'000'000)
      : space(
            keep, [this, capacity] { return DiskSpace::Space{available, capacity}; },
            [this](const std::string& line) { lines.push_back(line); }, [this] { return now; }) {}

  void becomes(std::uint64_t bytes) {
    available = bytes;
    now += DiskSpace::interval;
  }
  bool takes_tasks() {
    return space.for_tasks([this] { return reusable; }).ok();
  }
  bool takes_files() { return space.for_upload().ok(); }
};

}  // namespace

TEST_CASE("tasks and files are refused below the mark, and accepted again only a quarter above it") {
  Disk disk(1000);
  disk.becomes(1000);
  CHECK(disk.takes_tasks());
  CHECK(disk.takes_files());
  disk.becomes(999);
  CHECK_FALSE(disk.takes_tasks());
  CHECK_FALSE(disk.takes_files());
  disk.becomes(1249);
  CHECK_FALSE(disk.takes_tasks());
  CHECK_FALSE(disk.takes_files());
  disk.becomes(1250);
  CHECK(disk.takes_tasks());
  CHECK(disk.takes_files());
}

TEST_CASE("a change is told once, and the notice says what to do") {
  Disk disk(1000);
  CHECK(disk.space.notice().empty());
  for (const std::uint64_t bytes : {900U, 800U, 1100U}) {
    disk.becomes(bytes);
    CHECK_FALSE(disk.takes_tasks());
  }
  CHECK(disk.lines.size() == 1);
  CHECK(disk.space.notice().find("1.1 KiB are available") != std::string::npos);
  CHECK(disk.space.notice().find("--keep-ended-mb") != std::string::npos);
  const auto refused = disk.space.for_tasks([] { return std::uint64_t{0}; });
  CHECK(refused.error().kind == ErrorKind::full);
  disk.becomes(2000);
  CHECK(disk.space.notice().empty());
  CHECK(disk.lines.size() == 2);
}

TEST_CASE("space inside the store counts for tasks, not for files, and not if the log could not grow") {
  Disk disk(1000);
  disk.reusable = 5000;
  disk.becomes(400);
  CHECK(disk.takes_tasks());
  CHECK_FALSE(disk.takes_files());
  CHECK(disk.space.notice().find("new files are refused") == 0);
  disk.becomes(249);
  CHECK_FALSE(disk.takes_tasks());
  disk.becomes(400);
  CHECK(disk.takes_tasks());
  disk.reusable = 0;
  CHECK_FALSE(disk.takes_tasks());
}

TEST_CASE("on a small file system a tenth of it is kept free; with 0 nothing is refused") {
  Disk small(1'000'000, 10'000);
  small.becomes(1000);
  CHECK(small.takes_tasks());
  small.becomes(999);
  CHECK_FALSE(small.takes_tasks());
  Disk none(0);
  none.becomes(0);
  CHECK(none.takes_tasks());
  CHECK(none.takes_files());
}

TEST_CASE("a file system that cannot be measured refuses nothing, and it is measured at most every interval") {
  int measured = 0;
  Time now{};
  DiskSpace space(
      1000,
      [&]() -> std::optional<DiskSpace::Space> {
        ++measured;
        return std::nullopt;
      },
      {}, [&] { return now; });
  CHECK(space.for_upload());
  const int before = measured;
  for (int i = 0; i < 100; ++i) CHECK(space.for_tasks([] { return std::uint64_t{0}; }));
  CHECK(measured == before);
  now += DiskSpace::interval;
  CHECK(space.for_upload());
  CHECK(measured == before + 1);
}
