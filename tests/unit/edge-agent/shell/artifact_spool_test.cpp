#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <thread>

#include "common/files/artifact_digest.hpp"
#include "edge-agent/shell/artifact_spool.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/http_stub.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;
using edgefleet::test::HttpStub;
namespace fs = std::filesystem;

namespace {

const std::string content = "what a task has made";
const std::string away = HttpStub::answer("503 Service Unavailable", R"({"detail":"it restarts"})");

std::string id_of(const std::string& text) {
  ArtifactDigest digest;
  digest.add(text.data(), text.size());
  return digest.id();
}
std::string stored_as(const std::string& id) { return HttpStub::answer("201 Created", R"({"id":")" + id + "\"}"); }

struct Place {
  test::TemporaryFolder folder;
  std::string file = folder.path() + "/made";
  std::string spool = folder.path() + "/spool";

  Place() { std::ofstream(file, std::ios::binary) << content; }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator(spool)) all.push_back(entry.path().filename().string());
    return all;
  }
  [[nodiscard]] std::ptrdiff_t kept() const {
    return std::distance(fs::directory_iterator(spool), fs::directory_iterator{});
  }
};

ArtifactSpool::Bounds bounds() { return {std::uint64_t{1} << 20U, 0}; }

ArtifactSpool spool_of(const Place& place, const HttpStub& coordinator, ArtifactSpool::Bounds most = bounds()) {
  return ArtifactSpool(place.spool, std::make_unique<HttpArtifacts>(coordinator.url()), most);
}

// Waits for the reports of the spool.
class Told {
 public:
  void start(ArtifactSpool& spool) {
    spool.start([this](const std::string& artifact) { add("uploaded " + artifact); },
                [this](const std::string& artifact, const Error& why) { add("refused " + artifact, why.message); });
  }
  std::string first() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return !what_.empty(); }) ? what_ : "nothing";
  }

 private:
  void add(const std::string& what, const std::string& why = {}) {
    const std::lock_guard lock(mutex_);
    if (what_.empty()) what_ = why.empty() ? what : what + ": " + why;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string what_;
};

}  // namespace

TEST_CASE("a file that the coordinator accepts is kept until its result is acknowledged") {
  const Place place;
  const HttpStub coordinator({stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator);
  const auto stored = spool.store(place.file, {});
  REQUIRE(stored);
  CHECK(*stored == id_of(content));
  CHECK(place.names() == std::vector<std::string>{id_of(content) + ".uploaded"});
  CHECK(spool.hold({*stored}).empty());
  CHECK(spool.hold({*stored}).empty());
  spool.release({*stored});
  CHECK(place.kept() == 1);
  spool.release({*stored});
  CHECK(place.kept() == 0);
}

TEST_CASE("an uploaded file that no result names is kept for as long as the coordinator keeps it") {
  const Place place;
  const HttpStub coordinator({stored_as(id_of(content)), stored_as(id_of("other"))});
  auto spool = spool_of(place, coordinator, {std::uint64_t{1} << 20U, 0, Duration{0}});
  REQUIRE(spool.store(place.file, {}));
  CHECK(place.kept() == 1);
  spool.release({});
  CHECK(place.kept() == 0);
}

TEST_CASE("a file that the coordinator has lost is uploaded again, if it is still here") {
  const Place place;
  const HttpStub coordinator({stored_as(id_of(content)), stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator);
  REQUIRE(spool.store(place.file, {}));
  spool.hold({id_of(content)});
  Told told;
  told.start(spool);
  CHECK(spool.upload_again({id_of("other"), id_of(content)}) == std::set<std::string>{id_of(content)});
  CHECK(told.first() == "uploaded " + id_of(content));
  spool.stop();
  REQUIRE(coordinator.requests().size() == 2);
  CHECK(coordinator.requests()[1].body == content);
  CHECK(place.names() == std::vector<std::string>{id_of(content) + ".uploaded"});
}

TEST_CASE("after a restart, an uploaded file waits for nothing, and one that no result names is removed") {
  const Place place;
  fs::create_directories(place.spool);
  std::ofstream(place.spool + "/" + id_of(content) + ".uploaded", std::ios::binary) << content;
  std::ofstream(place.spool + "/" + id_of("other"), std::ios::binary) << "other";
  const HttpStub coordinator({});
  auto spool = spool_of(place, coordinator);
  CHECK(spool.hold({id_of(content)}).empty());
  Told told;
  told.start(spool);
  CHECK(place.names() == std::vector<std::string>{id_of(content) + ".uploaded"});
  spool.stop();
  CHECK(coordinator.requests().empty());
}

TEST_CASE("a text is stored like a file") {
  const Place place;
  const std::string text = '"' + std::string(300'000, 'x') + '"';
  {
    const HttpStub coordinator({stored_as(id_of(text))});
    auto spool = spool_of(place, coordinator);
    const auto stored = spool.store_text(text, {});
    REQUIRE(stored);
    CHECK(*stored == id_of(text));
    CHECK(coordinator.requests().front().body == text);
    spool.hold({*stored});
    spool.release({*stored});
    CHECK(place.kept() == 0);
  }
  {
    const HttpStub coordinator({away, stored_as(id_of(text))});
    auto spool = spool_of(place, coordinator);
    const auto stored = spool.store_text(text, {});
    REQUIRE(stored);
    CHECK(spool.hold({*stored}) == std::set<std::string>{id_of(text)});
    CHECK(place.names() == std::vector<std::string>{id_of(text)});
  }
  fs::remove_all(place.spool);
  const HttpStub coordinator({HttpStub::answer("413 Content Too Large", R"({"detail":"too large"})")});
  auto spool = spool_of(place, coordinator);
  CHECK_FALSE(spool.store_text(text, {}));
  CHECK(place.kept() == 0);
  const HttpStub unused({});
  auto full = spool_of(place, unused, {text.size() - 1, 0});
  const auto refused = full.store_text(text, {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::full);
}

TEST_CASE("a fetched text is what its id names") {
  const Place place;
  const std::string text = R"({"large":true})";
  const HttpStub coordinator({HttpStub::answer("200 OK", text)});
  auto spool = spool_of(place, coordinator);
  const auto fetched = spool.fetch_text({id_of(text), text.size(), {}}, {});
  REQUIRE(fetched);
  CHECK(*fetched == text);
  const auto other = spool.fetch_text({id_of("another"), text.size(), {}}, {});
  REQUIRE_FALSE(other);
  CHECK(other.error().message.find("is not artifact " + id_of("another")) != std::string::npos);
}

TEST_CASE("a file is kept under its id while the coordinator is unavailable, and uploaded later") {
  const Place place;
  const HttpStub coordinator({away, stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator);
  const auto stored = spool.store(place.file, {});
  REQUIRE(stored);
  CHECK(*stored == id_of(content));
  CHECK(place.kept() == 1);
  CHECK(spool.hold({*stored}) == std::set<std::string>{*stored});
  CHECK(spool.hold({}).empty());
  Told told;
  told.start(spool);
  CHECK(told.first() == "uploaded " + id_of(content));
  spool.stop();
  CHECK(place.names() == std::vector<std::string>{id_of(content) + ".uploaded"});
  spool.release({*stored});
  CHECK(place.kept() == 0);
}

TEST_CASE("files of an earlier run are uploaded, and incomplete ones are removed") {
  const Place place;
  fs::create_directories(place.spool);
  std::ofstream(place.spool + "/" + id_of(content), std::ios::binary) << content;
  std::ofstream(place.spool + "/copy.aBcDeF") << "half";
  const HttpStub coordinator({stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator);
  CHECK(place.kept() == 1);
  spool.hold({id_of(content)});
  Told told;
  told.start(spool);
  CHECK(told.first() == "uploaded " + id_of(content));
  spool.stop();
  REQUIRE(coordinator.requests().size() == 1);
  CHECK(coordinator.requests()[0].body == content);
}

TEST_CASE("a file that has changed on the disk is reported as refused, not as uploaded") {
  const Place place;
  fs::create_directories(place.spool);
  std::ofstream(place.spool + "/" + id_of(content), std::ios::binary) << "something else";
  const HttpStub coordinator({stored_as(id_of("something else"))});
  auto spool = spool_of(place, coordinator);
  spool.hold({id_of(content)});
  Told told;
  told.start(spool);
  CHECK(told.first() == "refused " + id_of(content) + ": the file has changed on the disk");
  spool.stop();
}

TEST_CASE("without space on the disk, the task waits for the coordinator") {
  const Place place;
  const HttpStub coordinator({away, stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator, {content.size() - 1, 0});
  CHECK(spool.store(place.file, {}));
  CHECK(coordinator.requests().size() == 2);
  CHECK(place.kept() == 0);
}

TEST_CASE("a file that the coordinator permanently refuses is not kept") {
  const Place place;
  const HttpStub coordinator({HttpStub::answer("413 Content Too Large", R"({"detail":"too large"})")});
  auto spool = spool_of(place, coordinator);
  const auto stored = spool.store(place.file, {});
  REQUIRE_FALSE(stored);
  CHECK(stored.error().kind == ErrorKind::too_large);
  CHECK_FALSE(fs::exists(place.spool));
}
