// The HTTP server alone, without and with TLS, for bench/http_api.py: the cost of a connection without a coordinator.
// It ends at the end of its standard input.
#include <CLI/CLI.hpp>
#include <array>
#include <condition_variable>
#include <iostream>
#include <mutex>
#include <thread>
#include <vector>

#include "common/http_server/server.hpp"

namespace {

using namespace edgefleet;
using namespace edgefleet::http_server;
using namespace std::chrono_literals;

// Streams that receive an event each second, and requests that receive no answer.
class Waiting {
 public:
  static constexpr std::size_t parts = 50;  // the events of the streams are spread over the second, as tokens are
  static constexpr auto turn_interval = 1000ms / parts;

  void add(Stream stream) {
    const std::lock_guard lock(mutex_);
    streams_[added_++ % parts].push_back(std::move(stream));
  }
  void add(Responder responder) {
    const std::lock_guard lock(mutex_);
    responders_.push_back(std::move(responder));
  }
  void send_to_next_part() {
    const std::lock_guard lock(mutex_);
    std::erase_if(streams_[turn_++ % parts],
                  [](const Stream& stream) { return !stream.send("data: {\"token\":\"word\"}\n\n"); });
  }
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return added_ + responders_.size();
  }

 private:
  std::mutex mutex_;
  std::array<std::vector<Stream>, parts> streams_;
  std::vector<Responder> responders_;
  std::size_t added_ = 0;
  std::size_t turn_ = 0;
};

std::vector<Route> routes_of(Waiting& waiting) {
  const auto text = [](const std::string& body) { return Reply{200, body, "text/plain", {}, {}}; };
  Route health{"GET", "/health", "health", "", "", answer_with([text](const Request&) { return text("ok"); })};
  health.quick = true;
  return {
      health,
      {"GET", "/pool", "pool", "", "", answer_with([text](const Request&) { return text("ok"); })},
      {"GET", "/count", "count", "", "",
       answer_with([text, &waiting](const Request&) { return text(std::to_string(waiting.count())); })},
      {"GET", "/stream", "stream", "", "", Handler([&waiting](const Request&, const Responder& responder) {
         const auto stream = responder.stream({200, {}, "text/event-stream", {}, {}});
         (void)stream.send("data: {\"token\":\"first\"}\n\n");
         waiting.add(stream);
       })},
      {"GET", "/wait", "wait", "", "",
       Handler([&waiting](const Request&, const Responder& responder) { waiting.add(responder); })},
  };
}

int listen_on(Server& server, const std::shared_ptr<const Router>& router, std::shared_ptr<Tls> tls) {
  Site site{router, [](const Request&, const Route*) { return Verdict{}; },
            [](const Problem& problem, const ReplyContext&) {
              return Reply{problem.status, problem.detail, "text/plain", {}, {}};
            }};
  const auto address = server.listen({"127.0.0.1", 0}, std::move(site), std::move(tls));
  if (!address) throw std::runtime_error(address.error().message);
  return address->port;
}

}  // namespace

int main(int argc, char** argv) {
  TlsFiles files;
  CLI::App app{"The HTTP server alone, for measuring"};
  app.add_option("--certificate", files.certificate, "PEM")->required();
  app.add_option("--key", files.key, "PEM")->required();
  CLI11_PARSE(app, argc, argv);
  Waiting waiting;
  Bounds bounds;
  bounds.connections = 20'000;
  Server server(bounds);
  const auto router = std::make_shared<const Router>(routes_of(waiting));
  const auto tls = Tls::load(files, ClientCertificate::not_asked);
  if (!tls) {
    std::cerr << tls.error().message << "\n";
    return 1;
  }
  const int plain = listen_on(server, router, nullptr);
  const int with_tls = listen_on(server, router, *tls);
  server.start();
  std::cout << R"({"port":)" << plain << R"(,"tls_port":)" << with_tls << "}" << std::endl;  // NOLINT: read at once
  const std::jthread events([&waiting](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any ended;
    std::unique_lock lock(mutex);
    const auto stopped = [&stop] { return stop.stop_requested(); };
    while (!ended.wait_for(lock, stop, Waiting::turn_interval, stopped)) waiting.send_to_next_part();
  });
  std::string line;
  while (std::getline(std::cin, line)) {
  }
}
