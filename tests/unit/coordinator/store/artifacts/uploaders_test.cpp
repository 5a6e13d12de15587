#include "coordinator/store/artifacts/uploaders.hpp"

#include <filesystem>
#include <fstream>

#include "coordinator/store/artifacts/artifacts.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

const std::string one = "sha256-" + std::string(64, '1');
const std::string two = "sha256-" + std::string(64, '2');
bool all(const std::string& id) { return !id.empty(); }

}  // namespace

TEST_CASE("who has sent an artifact is known to the next process too") {
  const test::TemporaryFolder folder;
  Uploaders uploaders(folder / "uploads");
  REQUIRE(uploaders.load(all));
  CHECK_FALSE(uploaders.has("phone", one));
  REQUIRE(uploaders.add("phone", one));
  REQUIRE(uploaders.add("phone", one));
  REQUIRE(uploaders.add("cron", two));
  CHECK(uploaders.has("phone", one));
  CHECK_FALSE(uploaders.has("cron", one));
  Uploaders next(folder / "uploads");
  REQUIRE(next.load(all));
  CHECK(next.has("phone", one));
  CHECK(next.has("cron", two));
  CHECK_FALSE(next.has("phone", two));
}

TEST_CASE("what belongs to an artifact that is gone is removed") {
  const test::TemporaryFolder folder;
  Uploaders uploaders(folder / "uploads");
  REQUIRE(uploaders.add("phone", one));
  REQUIRE(uploaders.add("phone", two));
  uploaders.forget(one);
  CHECK_FALSE(uploaders.has("phone", one));
  CHECK_FALSE(std::filesystem::exists(folder / "uploads/phone/" + one));
  std::ofstream(folder / "uploads/strange");
  Uploaders next(folder / "uploads");
  REQUIRE(next.load([](const std::string& id) { return id != two; }));
  CHECK_FALSE(next.has("phone", two));
  CHECK_FALSE(std::filesystem::exists(folder / "uploads/phone/" + two));
}

TEST_CASE("an upload belongs to whoever has sent all of it, as long as the artifact is there") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.lease = Duration{0};
  const auto artifacts = *Artifacts::open(folder.path(), bounds);
  const auto send = [&](const std::string& who) {
    const auto upload = artifacts->upload(who);
    REQUIRE(upload->write("x", 1));
    return upload->finish()->id;
  };
  const std::string id = send("phone");
  CHECK(artifacts->uploaded_by("phone", id));
  CHECK_FALSE(artifacts->uploaded_by("cron", id));
  CHECK(send("cron") == id);
  CHECK(artifacts->uploaded_by("cron", id));
  send("");
  CHECK_FALSE(artifacts->uploaded_by("", id));
  artifacts->collect_garbage(Time::max(), [](const std::string&) { return false; });
  CHECK_FALSE(artifacts->uploaded_by("phone", id));
  CHECK_FALSE((*Artifacts::open(folder.path(), bounds))->uploaded_by("cron", id));
}
