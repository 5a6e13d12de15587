#include "coordinator/store/artifacts/artifacts.hpp"

#include <filesystem>
#include <fstream>
#include <future>
#include <latch>

#include "common/system/clock.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace std::chrono_literals;

TEST_CASE("an upload no longer reserves any quota once its answer is sent") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.total_bytes = 10;
  const auto artifacts = Artifacts::open(folder.path(), bounds);
  REQUIRE(artifacts);
  const auto first = (*artifacts)->upload();
  REQUIRE(first->write("123456", 6));
  REQUIRE(first->finish());
  const auto second = (*artifacts)->upload();
  CHECK(second->write("abcd", 4));
  CHECK_FALSE(second->write("e", 1));
  const auto third = (*artifacts)->upload();
  CHECK(third->write("efgh", 4));
}

TEST_CASE("an artifact is stored by its content, within its bounds, as long as a lease or a task needs it") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.file_bytes = 100;
  bounds.total_bytes = 150;
  auto artifacts = Artifacts::open(folder.path(), bounds);
  REQUIRE(artifacts);
  const auto put = [&](const std::string& content) {
    auto upload = (*artifacts)->upload();
    if (auto written = upload->write(content.data(), content.size()); !written)
      return Result<Artifacts::Stored>(written.error());
    return upload->finish();
  };
  const auto abc = put("abc");
  REQUIRE(abc);
  CHECK(abc->id == "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(abc->is_new);
  CHECK_FALSE(put("abc")->is_new);
  CHECK((*artifacts)->total_bytes() == 3);
  std::ofstream(*(*artifacts)->find(abc->id)) << "damaged";
  CHECK_FALSE(put("abc")->is_new);  // but whole again
  std::string content;
  std::ifstream(*(*artifacts)->find(abc->id)) >> content;
  CHECK(content == "abc");
  CHECK(put(std::string(101, 'x')).error().kind == ErrorKind::too_large);
  REQUIRE(put(std::string(100, 'x')));
  CHECK(put(std::string(100, 'y')).error().kind == ErrorKind::full);
  CHECK((*artifacts)->find(abc->id));
  CHECK_FALSE((*artifacts)->find("sha256-../../etc/passwd"));

  (*artifacts)->collect_garbage(monotonic_now(), [](const std::string&) { return false; });
  CHECK((*artifacts)->find(abc->id));  // leased
  const Time later = monotonic_now() + 2h;
  (*artifacts)->collect_garbage(later, [&](const std::string& id) { return id == abc->id; });
  CHECK((*artifacts)->total_bytes() == 3);
  (*artifacts)->collect_garbage(later, [](const std::string&) { return false; });
  CHECK_FALSE((*artifacts)->find(abc->id));
  CHECK((*artifacts)->total_bytes() == 0);
}

TEST_CASE("an upload is refused while there is little disk space, also in its middle, and leaves nothing behind") {
  const test::TemporaryFolder folder;
  std::uint64_t available = 1000;
  Time now = monotonic_now();
  DiskSpace space(100, [&] { return DiskSpace::Space{available, 1'000'000}; }, {}, [&] { return now; });
  auto artifacts = Artifacts::open(folder.path(), {}, &space);
  REQUIRE(artifacts);
  const auto begun = (*artifacts)->upload();
  REQUIRE(begun->write("123456", 6));
  available = 99;
  now += DiskSpace::interval;
  const auto refused = begun->write("7", 1);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::full);
  CHECK(std::filesystem::is_empty(folder.path() + "/artifacts/incoming"));
  CHECK_FALSE((*artifacts)->upload()->write("1", 1));
  available = 1000;
  now += DiskSpace::interval;
  CHECK((*artifacts)->upload()->write("1", 1));
}

TEST_CASE("whoever reads an artifact does not keep it; naming it in a task does") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.lease = 200ms;
  auto artifacts = Artifacts::open(folder.path(), bounds);
  REQUIRE(artifacts);
  auto upload = (*artifacts)->upload();
  REQUIRE(upload->write("abc", 3));
  const std::string id = upload->finish()->id;
  const auto collect = [&] {
    (*artifacts)->collect_garbage(monotonic_now(), [](const std::string&) { return false; });
  };
  const Time leased_until = monotonic_now() + 3 * bounds.lease;
  while (monotonic_now() < leased_until) {
    REQUIRE((*artifacts)->lease(id));
    collect();
  }
  const Time until = monotonic_now() + 10s;
  while ((*artifacts)->find(id) && monotonic_now() < until) collect();
  CHECK_FALSE((*artifacts)->find(id));
  CHECK_FALSE((*artifacts)->lease(id));
  CHECK((*artifacts)->total_bytes() == 0);
}

TEST_CASE("an artifact is found only after it is durable, and nothing of it is left if that fails") {
  const test::TemporaryFolder folder;
  bool fails = true;
  std::string found_at;
  std::unique_ptr<Artifacts> artifacts;
  Artifacts::Disk disk;
  disk.keep = [&](const std::string& from, const std::string& to) {
    found_at = to;
    const std::string id = std::filesystem::path(to).filename();
    CHECK_FALSE(artifacts->find(id));
    CHECK_FALSE(artifacts->lease(id));
    auto kept = keep_durably(from, to);
    return fails ? Status(Error{"the disk fails"}) : kept;
  };
  artifacts = std::move(*Artifacts::open(folder.path(), {}, nullptr, disk));
  const auto put = [&] {
    auto upload = artifacts->upload();
    CHECK(upload->write("abc", 3));
    return upload->finish();
  };
  CHECK(put().error().message == "the artifact cannot be kept: the disk fails");
  CHECK_FALSE(std::filesystem::exists(found_at));
  CHECK(artifacts->total_bytes() == 0);
  fails = false;
  const auto stored = put();
  REQUIRE(stored);
  CHECK(stored->is_new);
  CHECK(artifacts->find(stored->id));
  CHECK(std::filesystem::file_size(found_at) == 3);
  CHECK(std::filesystem::is_empty(folder.path() + "/artifacts/incoming"));
}

TEST_CASE("an artifact is renamed durably") {
  using Keep = Status (*)(const std::string&, const std::string&);
  const Artifacts::Disk disk;
  REQUIRE(disk.keep.target<Keep>() != nullptr);
  CHECK(*disk.keep.target<Keep>() == &keep_durably);
}

TEST_CASE("whoever asks for an artifact does not wait for the disk") {
  const test::TemporaryFolder folder;
  std::latch keeps{1};
  std::latch removes{1};
  std::promise<void> disk_answers;
  const auto answer = disk_answers.get_future().share();
  Artifacts::Disk disk;
  disk.keep = [&](const std::string& from, const std::string& to) {
    if (to.find("/ba/") == std::string::npos) return keep_durably(from, to);  // not "abc"
    keeps.count_down();
    answer.wait();
    return keep_durably(from, to);
  };
  disk.remove = [&](const std::string&) {
    removes.count_down();
    answer.wait();
  };
  const auto artifacts = std::move(*Artifacts::open(folder.path(), {}, nullptr, disk));
  const auto other = artifacts->upload();
  REQUIRE(other->write("other", 5));
  const std::string id = other->finish()->id;
  const auto slow_upload = std::async(std::launch::async, [&] {
    const auto upload = artifacts->upload();
    (void)upload->write("abc", 3);
    return upload->finish().ok();
  });
  keeps.wait();
  const auto asked =
      std::async(std::launch::async, [&] { return artifacts->find(id).ok() && artifacts->lease(id).ok(); });
  CHECK(asked.wait_for(10s) == std::future_status::ready);
  const auto abandoned = std::async(std::launch::async, [&] { (void)artifacts->upload()->write("x", 1); });
  removes.wait();
  const auto asked_again = std::async(std::launch::async, [&] { return artifacts->lease(id).ok(); });
  CHECK(asked_again.wait_for(10s) == std::future_status::ready);
  disk_answers.set_value();
}

TEST_CASE("an artifact that is uploaded while it is removed is kept") {
  const test::TemporaryFolder folder;
  std::unique_ptr<Artifacts> artifacts;
  std::future<Result<Artifacts::Stored>> second;
  const auto put = [&] {
    const auto upload = artifacts->upload();
    (void)upload->write("abc", 3);
    return upload->finish();
  };
  Artifacts::Disk disk;
  disk.remove = [&, unlink = disk.remove](const std::string& path) {
    if (path.find("/incoming/") == std::string::npos) {
      second = std::async(std::launch::async, put);
      second.wait_for(100ms);  // it waits for this removal
    }
    unlink(path);
  };
  artifacts = std::move(*Artifacts::open(folder.path(), {}, nullptr, disk));
  REQUIRE(put());
  artifacts->collect_garbage(monotonic_now() + 2h, [](const std::string&) { return false; });
  const auto stored = second.get();
  REQUIRE(stored);
  CHECK(stored->is_new);
  CHECK(std::filesystem::exists(*artifacts->find(stored->id)));
  CHECK(artifacts->total_bytes() == 3);
}
