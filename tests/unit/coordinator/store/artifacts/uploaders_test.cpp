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
std::optional<std::uint64_t> all(const std::string&) { return 10; }

}  // namespace

TEST_CASE("who has sent an artifact is known to the next process too") {
  const test::TemporaryFolder folder;
  Uploaders uploaders(folder / "uploads");
  REQUIRE(uploaders.load(all));
  CHECK_FALSE(uploaders.has("phone", one));
  REQUIRE(uploaders.add("phone", one, 10));
  REQUIRE(uploaders.add("phone", one, 10));
  REQUIRE(uploaders.add("cron", two, 10));
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
  REQUIRE(uploaders.add("phone", one, 10));
  REQUIRE(uploaders.add("phone", two, 10));
  uploaders.forget(one);
  CHECK_FALSE(uploaders.has("phone", one));
  CHECK_FALSE(std::filesystem::exists(folder / "uploads/phone/" + one));
  std::ofstream(folder / "uploads/strange");
  Uploaders next(folder / "uploads");
  REQUIRE(next.load([](const std::string& id) { return id == two ? std::nullopt : all(id); }));
  CHECK_FALSE(next.has("phone", two));
  CHECK_FALSE(std::filesystem::exists(folder / "uploads/phone/" + two));
}

TEST_CASE("an upload belongs to whoever has sent all of it, as long as the artifact is there") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.lease = Duration{0};
  const auto artifacts = *Artifacts::open(folder.path(), bounds);
  const auto send = [&](const std::string& who) {
    const auto upload = artifacts->upload({who, who.empty() ? Uploader::Kind::none : Uploader::Kind::access});
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

TEST_CASE("the last quarter of the quota is for those who have less than a quarter of it") {
  const test::TemporaryFolder folder;
  Artifacts::Bounds bounds;
  bounds.total_bytes = 100;
  bounds.lease = Duration{0};
  const auto artifacts = *Artifacts::open(folder.path(), bounds);
  int files = 0;
  const auto send = [&](const Uploader& who, std::size_t bytes) -> Status {
    const auto upload = artifacts->upload(who);
    const std::string content = std::to_string(100 + files++) + std::string(bytes - 3, 'x');
    if (auto written = upload->write(content.data(), content.size()); !written) return written;
    const auto stored = upload->finish();
    return stored ? success() : stored.error();
  };
  const Uploader hijacked{"pi-7", Uploader::Kind::agent};
  const Uploader alice{"alice", Uploader::Kind::access};
  CHECK(send(hijacked, 60));
  CHECK(send(hijacked, 15));  // three quarters
  const auto refused = send(hijacked, 10);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::full);
  CHECK(refused.error().message.find("pi-7") != std::string::npos);
  CHECK(send(alice, 10));
  CHECK(send(alice, 10));
  CHECK_FALSE(send(alice, 6));
  CHECK(send({}, 5));
  CHECK_FALSE(send({}, 4));  // the quota itself
  artifacts->collect_garbage(Time::max(), [](const std::string&) { return false; });
  CHECK(send(hijacked, 25));
  const auto unfinished = artifacts->upload(alice);
  REQUIRE(unfinished->write("0123456789", 10));
  const auto same = artifacts->upload(alice);
  REQUIRE(same->write("0123456789", 10));  // what is on its way counts too
  CHECK(send(hijacked, 30));
  CHECK_FALSE(send(alice, 6));
}
