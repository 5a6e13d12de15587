#include "coordinator/store/artifacts/artifacts.hpp"

#include <filesystem>

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
  bounds.lease = 20ms;
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
