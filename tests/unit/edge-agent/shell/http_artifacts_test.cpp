#include "edge-agent/shell/http_artifacts.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "tests/support/catch.hpp"
#include "tests/support/http_stub.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using edgefleet::test::HttpStub;
namespace fs = std::filesystem;

namespace {

const std::string some_id = "sha256-" + std::string(64, 'a');
const std::string away = HttpStub::answer("503 Service Unavailable", R"({"detail":"it restarts"})");

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Place {
  test::TemporaryFolder folder;
  std::string file = folder.path() + "/file";
  [[nodiscard]] std::ptrdiff_t files() const {
    return std::distance(fs::directory_iterator(folder.path()), fs::directory_iterator{});
  }
};

}  // namespace

TEST_CASE("an artifact is fetched by its id into a file") {
  const Place place;
  const HttpStub coordinator({HttpStub::answer("200 OK", "content", "application/octet-stream")});
  HttpArtifacts artifacts(coordinator.url());
  REQUIRE(artifacts.fetch(some_id, place.file, 1000, {}));
  CHECK(content_of(place.file) == "content");
  REQUIRE(coordinator.requests().size() == 1);
  CHECK(coordinator.requests()[0].head.starts_with("GET /api/v1/artifacts/" + some_id + " "));
}

TEST_CASE("an artifact over the bound is an error, and no part of it is left on the disk") {
  const Place place;
  const HttpStub coordinator({HttpStub::answer("200 OK", std::string(1001, 'x'), "application/octet-stream")});
  HttpArtifacts artifacts(coordinator.url());
  const auto fetched = artifacts.fetch(some_id, place.file, 1000, {});
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().kind == ErrorKind::too_large);
  CHECK(place.files() == 0);
}

TEST_CASE("a fetch is retried if the coordinator restarts, not if it has no such artifact") {
  const Place place;
  const HttpStub coordinator({away, HttpStub::answer("404 Not Found", R"({"detail":"no such artifact"})")});
  HttpArtifacts artifacts(coordinator.url());
  const auto fetched = artifacts.fetch(some_id, place.file, 1000, {});
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().kind == ErrorKind::not_found);
  CHECK(fetched.error().message.find("no such artifact") != std::string::npos);
  CHECK(coordinator.requests().size() == 2);
  CHECK(place.files() == 0);
}

TEST_CASE("a file is stored with its content, and its id is the coordinator's answer") {
  const Place place;
  std::ofstream(place.file) << "content";
  const HttpStub coordinator({HttpStub::answer("201 Created", R"({"id":")" + some_id + "\"}")});
  HttpArtifacts artifacts(coordinator.url());
  const auto stored = artifacts.store(place.file, {});
  REQUIRE(stored);
  CHECK(*stored == some_id);
  REQUIRE(coordinator.requests().size() == 1);
  CHECK(coordinator.requests()[0].head.starts_with("PUT /api/v1/artifacts "));
  CHECK(coordinator.requests()[0].body == "content");
}

TEST_CASE("an answer without an id is an error") {
  const Place place;
  std::ofstream(place.file) << "content";
  for (const char* body : {"{}", "[]", "not JSON", R"({"id":7})"}) {
    INFO(body);
    const HttpStub coordinator({HttpStub::answer("201 Created", body)});
    HttpArtifacts artifacts(coordinator.url());
    const auto stored = artifacts.store_once(place.file, {});
    REQUIRE_FALSE(stored);
    CHECK(stored.error().message.find("the coordinator's answer to an artifact") != std::string::npos);
  }
}

TEST_CASE("storing a file waits for a full store, because the work is complete") {
  const Place place;
  std::ofstream(place.file) << "content";
  const HttpStub coordinator({HttpStub::answer("507 Insufficient Storage", R"({"detail":"full"})"),
                              HttpStub::answer("201 Created", R"({"id":")" + some_id + "\"}")});
  HttpArtifacts artifacts(coordinator.url());
  CHECK(artifacts.store(place.file, {}));
  CHECK(coordinator.requests().size() == 2);
}

TEST_CASE("a transfer that is stopped while it waits reports the reason for the wait") {
  const Place place;
  const HttpStub coordinator({away});
  HttpArtifacts artifacts(coordinator.url());
  std::stop_source stop;
  std::jthread stopper([&] {
    while (coordinator.requests().size() < 2) std::this_thread::yield();  // the first has been answered by then
    stop.request_stop();
  });
  const auto fetched = artifacts.fetch(some_id, place.file, 1000, stop.get_token());
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().message.find("it restarts") != std::string::npos);
  CHECK(place.files() == 0);
}

TEST_CASE("without the coordinator's address a transfer fails at once") {
  const Place place;
  std::ofstream(place.file) << "content";
  HttpArtifacts artifacts("");
  const auto fetched = artifacts.fetch(some_id, place.file, 1000, {});
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().message.find("--coordinator") != std::string::npos);
  const auto stored = artifacts.store(place.file, {});
  REQUIRE_FALSE(stored);
  CHECK(stored.error().message.find("--coordinator") != std::string::npos);
}
