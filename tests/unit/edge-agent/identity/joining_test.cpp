#include "edge-agent/identity/joining.hpp"

#include <atomic>
#include <csignal>
#include <fstream>
#include <functional>
#include <mutex>

#include "common/pki/authority.hpp"
#include "common/pki/request.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/loopback_server.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace std::chrono_literals;
using http_server::Reply;
using http_server::Request;

namespace {

// The coordinator's part of joining by a code. What becomes of the request is the test's.
class Coordinator {
 public:
  explicit Coordinator(std::function<Reply(const std::string& joined)> look) : look_(std::move(look)) {
    std::signal(SIGPIPE, SIG_IGN);
    const auto key = *pki::Key::make();
    const auto certificate = *authority_.issue_server(key.public_key(), {"127.0.0.1"}, pki::first_date, pki::last_date);
    std::ofstream(folder_ / "server.crt") << certificate.pem();
    std::ofstream(folder_ / "server.key") << *key.pem();
    auto tls = http_server::Tls::load({folder_ / "server.crt", folder_ / "server.key", {}},
                                      http_server::ClientCertificate::not_asked);
    REQUIRE(tls);
    const auto route = [](const char* method, std::string path, std::function<Reply(const Request&)> handler) {
      return http_server::Route{method, std::move(path), "", "", "", http_server::answer_with(std::move(handler))};
    };
    const std::string requests(join::requests_path);
    std::vector<http_server::Route> routes;
    routes.push_back(route("POST", requests, [this](const Request&) {
      return json(201, join::encode(join::Challenge{std::string(32, 'a'), std::string(64, '7'),
                                                    authority_.certificate().pem()}));
    }));
    routes.push_back(route("POST", requests + "/{id}", [this](const Request& request) {
      const std::lock_guard lock(mutex_);
      request_ = join::decode_opening(request.body)->request;
      return json(202, "{}");
    }));
    routes.push_back(route("GET", requests + "/{id}", [this](const Request&) {
      ++looks;
      const std::lock_guard lock(mutex_);
      const auto certificate_of_agent =
          authority_.issue_agent(*pki::read_request(request_), *AgentName::parse("pi-1"), 1'900'000'000);
      return look_(join::encode(join::Joined{"pi-1", "home", certificate_of_agent->pem(),
                                             authority_.certificate().pem(), "mqtts://pi:8883", "https://pi:7002"}));
    }));
    server_ = std::make_unique<test::LoopbackServer>(std::move(routes), http_server::Bounds{}, *tls);
  }

  static Reply json(int status, std::string body) { return {status, std::move(body), "application/json", {}, {}}; }

  // With what the machine tells.
  [[nodiscard]] Result<Identity> joins(std::string& told, Duration patience, const std::stop_token& stop = {}) {
    JoinOptions options;
    options.work = folder_ / "work";
    options.machine = {"pi-1", true, "abcd"};
    options.poll = 20ms;
    options.patience = patience;
    return join_by_code(
        "127.0.0.1:" + std::to_string(server_->port), options, [&](const std::string& line) { told += line + '\n'; },
        stop);
  }

  std::atomic<int> looks = 0;

 private:
  test::TemporaryFolder folder_;
  pki::Authority authority_ = *pki::Authority::make(*FleetName::parse("home"), {});
  std::function<Reply(const std::string&)> look_;
  std::mutex mutex_;
  std::string request_;
  std::unique_ptr<test::LoopbackServer> server_;
};

std::string error_of(const Result<Identity>& joined) { return joined ? "" : joined.error().message; }

bool has(const std::string& text, const std::string& part) {
  UNSCOPED_INFO(text);
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a machine that nobody accepts stops asking after its patience") {
  Coordinator coordinator([](const std::string&) { return Coordinator::json(202, "{}"); });
  std::string told;
  CHECK(has(error_of(coordinator.joins(told, 200ms)), "nobody has accepted this machine in time"));
  CHECK(coordinator.looks >= 2);
  CHECK(has(told, "edgefleet agents accept "));
}

TEST_CASE("a coordinator that is busy is asked again, and the trouble is told once") {
  int answers = 0;
  Coordinator coordinator([&](const std::string& joined) {
    return ++answers < 4 ? Coordinator::json(503, R"({"detail":"it starts"})") : Coordinator::json(200, joined);
  });
  std::string told;
  const auto identity = coordinator.joins(told, 60s);
  REQUIRE(identity);
  CHECK(identity->name == "pi-1");
  CHECK(has(told, "it starts; trying again"));
  CHECK(told.find("it starts") == told.rfind("it starts"));
}

TEST_CASE("a machine that was refused is told at once") {
  Coordinator coordinator(
      [](const std::string&) { return Coordinator::json(403, R"({"detail":"this machine was refused"})"); });
  std::string told;
  CHECK(has(error_of(coordinator.joins(told, 60s)), "this machine was refused"));
  CHECK(coordinator.looks == 1);
}

TEST_CASE("an interrupt ends the wait at once") {
  std::stop_source stop;
  Coordinator coordinator([&](const std::string&) {
    stop.request_stop();
    return Coordinator::json(202, "{}");
  });
  std::string told;
  CHECK(has(error_of(coordinator.joins(told, 1h, stop.get_token())), "interrupted"));
}
