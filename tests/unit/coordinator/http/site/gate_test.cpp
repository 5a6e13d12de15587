#include "coordinator/http/site/gate.hpp"

#include <nlohmann/json.hpp>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

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
  return Gate({origins, {}, nullptr}).judge(head, &tasks);
}
int status(const Verdict& verdict) { return verdict.refusal ? verdict.refusal->status : 0; }

}  // namespace

TEST_CASE("before there are accesses, a client that is not a browser's page is the operator") {
  for (const char* host : {"pi-4:7001", "192.168.1.20", ""}) {
    const auto verdict = judged({{"Host", host}});
    CHECK_FALSE(verdict.refusal);
    CHECK(verdict.headers.begin() == verdict.headers.end());
    CHECK(verdict.principal.role == "admin");
    CHECK(verdict.principal.name.empty());
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

// DNS rebinding: the name of the other site leads to this host, so that origin and host are equal, and a GET of such a
// page has no origin at all.
TEST_CASE("a request that names another site's host is refused") {
  for (const std::string host : {"evil.example", "evil.example:7001", "10.evil.example", "local.evil.example",
                                 "evil.example.", "pi-4.local.", "lan.", "192.168.1.20.evil.example"}) {
    CAPTURE(host);
    CHECK(status(judged({{"Host", host}, {"Origin", "http://" + host}})) == 421);
    CHECK(status(judged({{"Host", host}}, "GET")) == 421);
  }
}

TEST_CASE("a request that a browser makes for another site is refused, also if it has no origin") {
  for (const char* site : {"cross-site", "same-site", "anything"}) {
    CHECK(status(judged({{"Host", "localhost:7001"}, {"Sec-Fetch-Site", site}}, "GET")) == 403);
  }
  for (const char* site : {"same-origin", "none"}) {
    CHECK(status(judged({{"Host", "localhost:7001"}, {"Sec-Fetch-Site", site}}, "GET")) == 0);
  }
}

namespace {

// A gate with accesses, at a listener that has names.
struct Closed {
  test::TemporaryFolder folder;
  std::unique_ptr<AccessDatabase> database = *AccessDatabase::open(folder.path());
  std::unique_ptr<Registry> registry = *Registry::open(*database);
  Gate gate{{origins, {"pi-1.local", "192.168.1.20", "[fe80::1]"}, registry.get()}};
  http_server::Route route{"POST", "/api/v1/tasks", "", "", "submit", http_server::Handler{}};

  std::string key(const std::string& name, Role role) { return registry->create_access("setup", name, role, {})->key; }
  Verdict judge(const Headers& headers) {
    Request head;
    head.method = route.method;
    head.path = route.pattern;
    head.headers = headers;
    return gate.judge(head, &route);
  }
  Verdict with_key(const std::string& key, const std::string& host = "pi-1.local:7001") {
    return judge({{"Host", host}, {"Authorization", "Bearer " + key}});
  }
};

std::string detail_of(const Verdict& verdict) {
  return nlohmann::json::parse(verdict.refusal->body).at("detail").get<std::string>();
}

}  // namespace

TEST_CASE("with accesses, a request without a key is refused, and told what is missing") {
  Closed closed;
  const auto verdict = closed.judge({{"Host", "pi-1.local:7001"}});
  REQUIRE(status(verdict) == 401);
  CHECK(verdict.refusal->headers.get("WWW-Authenticate").starts_with("Bearer"));
  CHECK(detail_of(verdict).find("edgefleet access create") != std::string::npos);
  for (const std::string& wrong : std::vector<std::string>{"", "x", "ef_", "Basic abc", std::string(9000, 'a')}) {
    CHECK(status(closed.with_key(wrong)) == 401);
    CHECK(status(closed.judge({{"Host", "pi-1.local"}, {"Authorization", wrong}})) == 401);
  }
  CHECK(closed.judge({{"Host", "pi-1.local"}}).principal.role.empty());
}

TEST_CASE("a key is taken as a Bearer token and as an API key, and names its access") {
  Closed closed;
  const auto key = closed.key("phone", Role::submit);
  for (const Headers& headers : {Headers{{"Host", "PI-1.local"}, {"Authorization", "bearer  " + key + " "}},
                                 Headers{{"Host", "192.168.1.20:7001"}, {"X-Api-Key", key}},
                                 Headers{{"Host", "[fe80::1]:7001"}, {"Authorization", "Bearer " + key}}}) {
    const auto verdict = closed.judge(headers);
    CHECK_FALSE(verdict.refusal);
    CHECK(verdict.principal.name == "phone");
    CHECK(verdict.principal.role == "submit");
  }
}

TEST_CASE("a role that may not use a route is refused, and told which one may") {
  Closed closed;
  closed.route.role = "operate";
  const auto verdict = closed.with_key(closed.key("phone", Role::submit));
  REQUIRE(status(verdict) == 403);
  CHECK(detail_of(verdict) == "the access phone has the role submit; POST /api/v1/tasks needs operate");
  CHECK_FALSE(closed.with_key(closed.key("anna", Role::admin)).refusal);
}

TEST_CASE("a revoked key is refused from then on") {
  Closed closed;
  const auto key = closed.key("phone", Role::submit);
  CHECK_FALSE(closed.with_key(key).refusal);
  REQUIRE(closed.registry->revoke_access("anna", "phone"));
  CHECK(status(closed.with_key(key)) == 401);
}

TEST_CASE("an access for the broker is none here") {
  Closed closed;
  closed.key("anna", Role::admin);
  const auto made = closed.registry->create_mqtt_access("anna");
  const auto verdict = closed.with_key(made->key);
  REQUIRE(status(verdict) == 403);
  CHECK(detail_of(verdict) == "the access " + made->name + " is for the broker only; use the key of anna");
  closed.route.role = "";
  CHECK(closed.with_key(made->key).principal.name.empty());
}

TEST_CASE("a request in progress goes on while its key is one of the access, not while the name exists") {
  Closed closed;
  const auto key = closed.key("phone", Role::submit);
  const auto caller = closed.with_key(key).principal;
  CHECK(closed.gate.still_allowed(caller));
  const auto second = closed.registry->rotate_access("anna", "phone", std::chrono::hours(1));
  CHECK(closed.gate.still_allowed(caller));
  const auto later = closed.with_key(second->key).principal;
  REQUIRE(closed.registry->rotate_access("anna", "phone", Duration{0}));
  CHECK_FALSE(closed.gate.still_allowed(caller));
  CHECK_FALSE(closed.gate.still_allowed(later));
}

TEST_CASE("with accesses, only a name of the list is a host, whoever asks") {
  Closed closed;
  const auto key = closed.key("anna", Role::admin);
  for (const char* host :
       {"localhost:7001", "127.0.0.1", "evil.example", "", "pi-1.local.evil.example", "pi-2.local"}) {
    CAPTURE(host);
    CHECK(status(closed.with_key(key, host)) == 421);
  }
}

TEST_CASE("a route without a role needs no key, and knows the caller who has one") {
  Closed closed;
  closed.route.role = "";
  CHECK_FALSE(closed.judge({{"Host", "pi-1.local"}}).refusal);
  CHECK(closed.with_key(closed.key("phone", Role::chat)).principal.role == "chat");
}

TEST_CASE("with a key, a page needs to be of an allowed site, and a browser's own word is not asked") {
  Closed closed;
  const auto key = "Bearer " + closed.key("phone", Role::submit);
  const Headers other = {{"Host", "pi-1.local"}, {"Authorization", key}, {"Origin", "https://evil.example"}};
  CHECK(status(closed.judge(other)) == 403);
  const Headers allowed = {
      {"Host", "pi-1.local"}, {"Authorization", key}, {"Origin", origins.front()}, {"Sec-Fetch-Site", "cross-site"}};
  CHECK_FALSE(closed.judge(allowed).refusal);
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
  CHECK_FALSE(Gate({origins, {}, nullptr}).judge(head, nullptr).refusal);  // 404 says more
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
