#include <condition_variable>
#include <filesystem>
#include <fstream>

#include "common/files/artifact_digest.hpp"
#include "edge-agent/shell/spool.hpp"
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

TEST_CASE("a file that the coordinator accepts is not kept") {
  const Place place;
  const HttpStub coordinator({stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator);
  const auto stored = spool.store(place.file, {});
  REQUIRE(stored);
  CHECK(*stored == id_of(content));
  CHECK_FALSE(fs::exists(place.spool));
}

TEST_CASE("a file is kept under its id while the coordinator is unavailable, and uploaded later") {
  const Place place;
  const HttpStub coordinator({away, stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator);
  const auto stored = spool.store(place.file, {});
  REQUIRE(stored);
  CHECK(*stored == id_of(content));
  CHECK(place.kept() == 1);
  CHECK(spool.named_in(R"({"artifact":")" + *stored + "\"}") == std::set<std::string>{*stored});
  CHECK(spool.named_in("{}").empty());
  Told told;
  told.start(spool);
  CHECK(told.first() == "uploaded " + id_of(content));
  spool.stop();
  CHECK(place.kept() == 0);
  CHECK(spool.named_in(*stored).empty());
}

TEST_CASE("files of an earlier run are uploaded, and incomplete ones are removed") {
  const Place place;
  fs::create_directories(place.spool);
  std::ofstream(place.spool + "/" + id_of(content), std::ios::binary) << content;
  std::ofstream(place.spool + "/copy.aBcDeF") << "half";
  const HttpStub coordinator({stored_as(id_of(content))});
  auto spool = spool_of(place, coordinator);
  CHECK(place.kept() == 1);
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
