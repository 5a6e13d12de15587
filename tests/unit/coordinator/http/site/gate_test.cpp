#include "coordinator/http/site/gate.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using http_server::Headers;
using http_server::Request;
using http_server::Verdict;

namespace {

const std::vector<std::string> origins = {"https://chat.example.org", "http://192.168.1.7:3000"};
const http_server::Route tasks{"POST", "/api/v1/tasks", "", "", "", http_server::Handler{}};

Verdict judged(const Headers& headers, const std::string& method = "POST", const std::string& path = "/api/v1/tasks") {
  Request head;
  head.method = method;
  head.path = path;
  head.headers = headers;
  return judge(head, &tasks, origins);
}
int status(const Verdict& verdict) { return verdict.refusal ? verdict.refusal->status : 0; }

}  // namespace

TEST_CASE("a client that is not a browser's page is let through, whatever host it names") {
  for (const char* host : {"pi-4:7001", "fleet.example.org", ""}) {
    const auto verdict = judged({{"Host", host}});
    CHECK_FALSE(verdict.refusal);
    CHECK(verdict.headers.begin() == verdict.headers.end());
  }
}

TEST_CASE("a page of the coordinator itself is let through, by an address or a local name") {
  for (const std::string host :
       {"127.0.0.1:7001", "192.168.1.20", "[::1]:7001", "[fe80::1]", "[::ffff:192.168.1.20]:7001", "localhost:7001",
        "pi-4", "pi-4.local:7001", "pi-4.lan", "fleet.internal", "pi.home.arpa", "edge.localhost"}) {
    CAPTURE(host);
    CHECK_FALSE(judged({{"Host", host}, {"Origin", "http://" + host}}).refusal);
  }
}

TEST_CASE("a page of another site is refused") {
  for (const char* origin : {"https://evil.example", "http://pi-4:7002", "http://pi-4", "null", "http://",
                             "http://pi-4:7001.evil.example", "file://"}) {
    CAPTURE(origin);
    const auto verdict = judged({{"Host", "pi-4:7001"}, {"Origin", origin}});
    CHECK(status(verdict) == 403);
    CHECK_FALSE(verdict.headers.has("Access-Control-Allow-Origin"));
  }
}

// DNS rebinding: the name of the other site leads to this host, so that origin and host are equal.
TEST_CASE("a page whose own name leads here is refused, unless the name is a local one") {
  for (const std::string host : {"evil.example", "evil.example:7001", "10.evil.example", "local.evil.example",
                                 "evil.example.", "pi-4.local.", "lan.", "192.168.1.20.evil.example"}) {
    CAPTURE(host);
    CHECK(status(judged({{"Host", host}, {"Origin", "http://" + host}})) == 403);
  }
}

TEST_CASE("a page of an allowed site is let through, and may read the answer") {
  for (const std::string& origin : origins) {
    const auto verdict = judged({{"Host", "pi-4:7001"}, {"Origin", origin}});
    CHECK_FALSE(verdict.refusal);
    CHECK(verdict.headers.get("Access-Control-Allow-Origin") == origin);
    CHECK(verdict.headers.get("Vary") == "Origin");
    CHECK(verdict.headers.lists("Access-Control-Expose-Headers", "Location"));
    CHECK_FALSE(verdict.headers.has("Access-Control-Allow-Methods"));
  }
}

TEST_CASE("an allowed site is compared whole: scheme, name and port") {
  for (const char* origin :
       {"http://chat.example.org", "https://chat.example.org:8443", "https://chat.example.org.evil.example",
        "https://a.chat.example.org", "http://192.168.1.7", "https://chat.example.org/"}) {
    CAPTURE(origin);
    CHECK(status(judged({{"Host", "pi-4:7001"}, {"Origin", origin}})) == 403);
  }
}

TEST_CASE("the preflight request of an allowed site is answered with the headers that it asks for") {
  const auto verdict = judged({{"Host", "pi-4:7001"},
                               {"Origin", origins.front()},
                               {"Access-Control-Request-Method", "POST"},
                               {"Access-Control-Request-Headers", "content-type, authorization"}},
                              "OPTIONS");
  CHECK(status(verdict) == 204);
  CHECK(verdict.headers.get("Access-Control-Allow-Origin") == origins.front());
  CHECK(verdict.headers.lists("Access-Control-Allow-Methods", "POST"));
  CHECK(verdict.headers.get("Access-Control-Allow-Headers") == "content-type, authorization");
}

TEST_CASE("names of headers that are no tokens are not sent back") {
  const auto verdict = judged({{"Host", "pi-4:7001"},
                               {"Origin", origins.front()},
                               {"Access-Control-Request-Method", "POST"},
                               {"Access-Control-Request-Headers", "x; <script>"}},
                              "OPTIONS");
  CHECK(status(verdict) == 204);
  CHECK_FALSE(verdict.headers.has("Access-Control-Allow-Headers"));
}

TEST_CASE("OPTIONS without a preflight is left to the routes, and another site's preflight is refused") {
  CHECK_FALSE(judged({{"Host", "pi-4:7001"}, {"Origin", origins.front()}}, "OPTIONS").refusal);
  CHECK(status(judged(
            {{"Host", "pi-4:7001"}, {"Origin", "https://evil.example"}, {"Access-Control-Request-Method", "POST"}},
            "OPTIONS")) == 403);
}

TEST_CASE("a multipart body is refused where there is a route, before it is read") {
  CHECK(status(judged({{"Host", "pi-4"}, {"Content-Type", "multipart/form-data; boundary=x"}})) == 415);
  CHECK_FALSE(judged({{"Host", "pi-4"}, {"Content-Type", "application/json"}}).refusal);
  Request head;
  head.headers = {{"Content-Type", "multipart/form-data; boundary=x"}};
  CHECK_FALSE(judge(head, nullptr, origins).refusal);  // 404 says more
}

TEST_CASE("a refusal has the shape of the API that was called") {
  const Headers foreign = {{"Host", "pi-4:7001"}, {"Origin", "https://evil.example"}};
  const auto ours = judged(foreign);
  REQUIRE(ours.refusal);
  CHECK(ours.refusal->content_type == "application/problem+json");
  const auto problem = nlohmann::json::parse(ours.refusal->body);
  CHECK(problem.at("status") == 403);
  CHECK(problem.at("detail").get<std::string>().find("--allow-origin") != std::string::npos);
  const auto openai = judged(foreign, "POST", "/v1/chat/completions");
  REQUIRE(openai.refusal);
  CHECK(openai.refusal->status == 403);
  CHECK(openai.refusal->content_type == "application/json");
  CHECK(nlohmann::json::parse(openai.refusal->body).at("error").at("type") == "invalid_request_error");
}
