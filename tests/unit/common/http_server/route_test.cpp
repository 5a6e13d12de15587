#include "common/http_server/route.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet::http_server;

namespace {

Route route(const char* method, const char* pattern, const char* name) {
  return {method, pattern, name, "", "", Handler([](const Request&, const Responder&) {})};
}

Router router() {
  std::vector<Route> routes;
  routes.push_back(route("GET", "/", "root"));
  routes.push_back(route("GET", "/tasks", "list"));
  routes.push_back(route("POST", "/tasks", "submit"));
  routes.push_back(route("GET", "/tasks/{id}", "get"));
  routes.push_back(route("POST", "/tasks/retry", "retryMany"));
  routes.push_back(route("POST", "/tasks/{id}/retry", "retry"));
  routes.push_back(route("GET", "/models/{model...}", "model"));
  return Router(std::move(routes));
}

std::string name_of(const Router::Match& match) { return match.route == nullptr ? "" : match.route->name; }

}  // namespace

TEST_CASE("a literal segment is preferred to a capture, a capture to the rest") {
  const Router all = router();
  CHECK(name_of(all.find("GET", "/")) == "root");
  CHECK(name_of(all.find("POST", "/tasks/retry")) == "retryMany");
  CHECK(name_of(all.find("POST", "/tasks/7/retry")) == "retry");
  CHECK(name_of(all.find("GET", "/models/a/b/c")) == "model");
  CHECK(name_of(all.find("HEAD", "/tasks")) == "list");
  CHECK(name_of(all.find("GET", "/tasks/")).empty());
  CHECK(name_of(all.find("GET", "/nothing")).empty());
}

TEST_CASE("captures are decoded, the rest of a path too") {
  const Router all = router();
  CHECK(all.find("GET", "/tasks/a%2Fb").captures.at("id") == "a/b");
  CHECK(all.find("GET", "/models/openai/gpt%20x").captures.at("model") == "openai/gpt x");
  CHECK(all.find("GET", "/models/openai%2Fgpt").captures.at("model") == "openai/gpt");
  CHECK(all.find("GET", "/tasks/%zz").broken);
}

TEST_CASE("a path says which methods it has") {
  const Router all = router();
  CHECK(all.find("DELETE", "/tasks").allow == "GET, HEAD, POST, OPTIONS");
  CHECK(all.find("DELETE", "/tasks").route == nullptr);
  CHECK(all.find("DELETE", "/nothing").allow.empty());
}
