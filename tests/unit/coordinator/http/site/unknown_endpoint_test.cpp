#include "coordinator/http/site/unknown_endpoint.hpp"

#include <fstream>
#include <set>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

std::string explained(const char* method, const char* path) {
  std::vector<http_server::Route> routes;
  for (const char* pattern : {"/api/v1/tasks", "/api/v1/agents", "/v1/chat/completions"}) {
    routes.push_back({"GET", pattern, "", "", "", http_server::Handler{}});
  }
  return explain_unknown(method, path, routes);
}

bool tells(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a route of another system is answered with the equivalent route") {
  CHECK(tells(explained("GET", "/api/workers/list"), "the equivalent here is GET /api/v1/agents"));
  CHECK(tells(explained("GET", "/api/workers/status/"), "GET /api/v1/agents"));
  CHECK(tells(explained("GET", "/api/tasks/7"), "GET /api/v1/tasks/{id}"));
  CHECK(tells(explained("POST", "/api/workers/pi-1/heartbeat"), "MQTT topic agents/{agent}/heartbeat"));
}

TEST_CASE("a mistyped path is answered with the nearest one, any other with the page that lists them") {
  CHECK(tells(explained("GET", "/api/v1/task"), "did you mean /api/v1/tasks?"));
  CHECK(tells(explained("POST", "/v1/chat/completion"), "did you mean /v1/chat/completions?"));
  CHECK(tells(explained("GET", "/nothing"), "docs/http-api.md"));
}

TEST_CASE("docs/coming-from.md has exactly the rows of the table") {
  std::set<std::string> documented;
  std::ifstream page(EDGEFLEET_SOURCE_DIR "/docs/coming-from.md");
  for (std::string line; std::getline(page, line);) {
    for (const char* method : {"| `GET /", "| `POST /", "| `PUT /", "| `DELETE /"}) {
      if (line.starts_with(method)) documented.insert(line);
    }
  }
  std::set<std::string> known;
  for (const Replaced& one : replaced_routes) {
    known.insert("| `" + std::string(one.method) + " " + std::string(one.path) + "` | `" + std::string(one.ours) +
                 "` |");
  }
  CHECK(documented == known);
}
