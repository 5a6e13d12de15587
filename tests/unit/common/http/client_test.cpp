// The client against servers on loopback: ours, and bare sockets that answer what no server should.
#include "common/http/client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <optional>
#include <thread>

#include "tests/support/catch.hpp"
#include "tests/support/loopback_server.hpp"

using namespace edgefleet;
using namespace edgefleet::http;
using namespace std::chrono_literals;
using http_server::Handler;
using http_server::Reply;
using http_server::Responder;
using http_server::Route;
using http_server::Stream;
using Server = test::LoopbackServer;
namespace fs = std::filesystem;

namespace {

// Listens and queues connections in its backlog; each call of `serve` takes one, answers a request with each of
// `answers`, and closes it.
class RawServer {
 public:
  RawServer() : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(bind(descriptor_, generic, sizeof address) == 0);
    REQUIRE(listen(descriptor_, 8) == 0);
    socklen_t size = sizeof address;
    REQUIRE(getsockname(descriptor_, generic, &size) == 0);
    port_ = ntohs(address.sin_port);
  }
  RawServer(const RawServer&) = delete;
  RawServer& operator=(const RawServer&) = delete;
  RawServer(RawServer&&) = delete;
  RawServer& operator=(RawServer&&) = delete;
  ~RawServer() { ::close(descriptor_); }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  std::jthread serve(std::vector<std::string> answers) {
    return std::jthread([this, answers = std::move(answers)] {
      const int connection = accept(descriptor_, nullptr, nullptr);
      for (const std::string& answer : answers) {
        char request[4096];
        [[maybe_unused]] const auto got = ::read(connection, request, sizeof request);
        [[maybe_unused]] const auto sent = ::send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
      }
      ::close(connection);
    });
  }

 private:
  int descriptor_;
  int port_ = 0;
};

class Folder {
 public:
  Folder() {
    auto pattern = (fs::temp_directory_path() / "edgefleet-http-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  Folder(Folder&&) = delete;
  Folder& operator=(Folder&&) = delete;
  ~Folder() { fs::remove_all(path_); }
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  [[nodiscard]] std::size_t files() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), fs::directory_iterator()));
  }

 private:
  fs::path path_;
};

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write(const std::string& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

std::string large() {
  std::string text(3'000'000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 % 251);
  return text;
}

Reply reply_of(std::string body, int status = 200, const std::string& type = "text/plain") {
  return {status, std::move(body), type, {}, {}};
}

Route route(const std::string& method, const std::string& path, Handler handler) {
  return {method, path, path, {}, {}, std::move(handler), false, false, http_server::most_body};
}
Route answering(const std::string& method, const std::string& path,
                std::function<Reply(const http_server::Request&)> answer) {
  return route(method, path, http_server::answer_with(std::move(answer)));
}
Route large_body() {
  return answering("GET", "/",
                   [](const http_server::Request&) { return reply_of(large(), 200, "application/octet-stream"); });
}

bool mentions(const Error& error, const std::string& text) { return error.message.find(text) != std::string::npos; }

}  // namespace

TEST_CASE("an answer has its status, type and body, also if it is an error") {
  const Server server(
      {answering("GET", "/ok", [](const http_server::Request&) { return reply_of("{}", 200, "application/json"); }),
       answering("GET", "/busy", [](const http_server::Request&) {
         Reply busy = reply_of("{}", 429, "application/problem+json");
         busy.headers.add("Retry-After", "7");
         return busy;
       })});
  Client client(server.url() + "/");
  const auto ok = client.get("/ok");
  REQUIRE(ok);
  CHECK(ok->status == 200);
  CHECK(ok->ok());
  CHECK(ok->content_type == "application/json");
  CHECK(ok->body == "{}");
  CHECK_FALSE(ok->retry_after);
  const auto busy = client.get("/busy");
  REQUIRE(busy);
  CHECK(busy->status == 429);
  CHECK_FALSE(busy->ok());
  CHECK(busy->retry_after == Duration(7s));
}

TEST_CASE("a post sends JSON, also an empty body") {
  const Server server({answering("POST", "/", [](const http_server::Request& request) {
    std::string seen(request.header("Content-Type"));
    return reply_of(seen.append("|").append(request.header("Expect")) + "|" + request.body, 202);
  })});
  Client client(server.url());
  const auto answer = client.post("/", "{\"a\":1}");
  REQUIRE(answer);
  CHECK(answer->status == 202);
  CHECK(answer->body == "application/json||{\"a\":1}");
  CHECK(client.post("/", {})->body == "application/json||");
}

TEST_CASE("a connection is reused") {
  RawServer server;
  const std::string empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  const auto thread = server.serve({empty, empty, empty});  // on the first connection only
  Client client(server.url());
  Options options;
  options.timeout = 10s;
  for (int i = 0; i < 3; ++i) REQUIRE(client.get("/", options));
}

TEST_CASE("a client serves several threads at once") {
  const Server server({answering(
      "GET", "/{number}", [](const http_server::Request& request) { return reply_of(request.capture("number")); })});
  Client client(server.url());
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i) {
      threads.emplace_back([&, i] {
        const auto answer = client.get("/" + std::to_string(i));
        if (answer && answer->body == std::to_string(i)) ++right;
      });
    }
  }
  CHECK(right == 6);
}

TEST_CASE("the error of a refused connection has the address and a hint") {
  std::string url;
  {
    const RawServer gone;
    url = gone.url();
  }
  const auto answer = Client(url).get("/");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::unavailable);
  CHECK(answer.error().message ==
        "cannot reach the coordinator at " + url + ": connection refused; is edgefleet-coordinator running there?");
  const auto other = Client(url, Peer{"Ollama", "start it with: ollama serve"}).get("/");
  CHECK(other.error().message == "cannot reach Ollama at " + url + ": connection refused; start it with: ollama serve");
}

TEST_CASE("a call of a silent server ends at the timeout") {
  const RawServer server;
  Options options;
  options.timeout = 150ms;
  const auto answer = Client(server.url()).get("/", options);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::unavailable);
  CHECK(mentions(answer.error(), "within 150 ms"));
}

TEST_CASE("a slow body ends at the timeout, a stalled one at the stall timeout") {
  std::optional<Stream> stalled;
  const Server server({route("GET", "/trickle",
                             [](const http_server::Request&, const Responder& responder) {
                               const auto stream = responder.stream(reply_of({}));
                               while (stream.send(".")) std::this_thread::sleep_for(20ms);
                             }),
                       route("GET", "/stall", [&stalled](const http_server::Request&, const Responder& responder) {
                         stalled = responder.stream(reply_of({}));
                         (void)stalled->send(".");
                       })});
  Client client(server.url());
  Options options;
  options.timeout = 200ms;
  const auto trickle = client.get("/trickle", options);
  REQUIRE_FALSE(trickle);
  CHECK(mentions(trickle.error(), "did not answer in full within 200 ms"));
  options = file_options();
  options.stall_timeout = 1s;
  const auto stall = client.get("/stall", options);
  REQUIRE_FALSE(stall);
  CHECK(mentions(stall.error(), "no data for 1 s"));
}

TEST_CASE("a body over the bound is an error and is not kept in memory") {
  const Server server({large_body()});
  Options options;
  options.most_bytes = 100'000;
  const auto answer = Client(server.url()).get("/", options);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::too_large);
  CHECK(mentions(answer.error(), "100000 bytes"));
}

TEST_CASE("a stop request ends a long poll at once") {
  std::optional<Responder> waiting;
  std::latch asked{1};
  const Server server({route("GET", "/", [&](const http_server::Request&, const Responder& responder) {
    waiting = responder;
    asked.count_down();
  })});
  std::stop_source source;
  Options options;
  options.timeout = 60s;
  options.stop = source.get_token();
  std::chrono::steady_clock::time_point stopped;
  std::jthread stopper([&] {
    asked.wait();
    stopped = std::chrono::steady_clock::now();
    source.request_stop();
  });
  Client client(server.url());
  const auto answer = client.get("/", options);
  stopper.join();
  CHECK(std::chrono::steady_clock::now() - stopped < 5s);  // instead of 60
  REQUIRE_FALSE(answer);
  CHECK(mentions(answer.error(), "stopped before"));
  CHECK_FALSE(client.get("/", options));  // and the next call does not start
}

TEST_CASE("a connection that breaks during an answer is an error") {
  RawServer server;
  const auto thread = server.serve({"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"});
  const auto answer = Client(server.url()).get("/");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::unavailable);
  CHECK(mentions(answer.error(), "broke before the answer was complete"));
}

TEST_CASE("the error names a server that does not use HTTP") {
  RawServer server;
  const auto thread = server.serve({"SSH-2.0-OpenSSH_9.2\r\n"});
  const auto answer = Client(server.url()).get("/");
  REQUIRE_FALSE(answer);
  CHECK(mentions(answer.error(), "does not use HTTP"));
}

TEST_CASE("other schemes and invalid URLs are refused") {
  for (const char* url : {"ftp://127.0.0.1", "file:///etc", "http://", "http://a b/"}) {
    CAPTURE(url);
    const auto answer = Client(url).get("/passwd");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::invalid);
  }
}

TEST_CASE("a redirect is an answer and is not followed") {
  const Server server({answering(
      "GET", "/", [](const http_server::Request&) { return Reply{302, {}, {}, {{"Location", "/elsewhere"}}, {}}; })});
  CHECK(Client(server.url()).get("/")->status == 302);
}

TEST_CASE("a file is uploaded and downloaded unchanged") {
  std::string stored;
  const Server server({answering("PUT", "/a",
                                 [&stored](const http_server::Request& request) {
                                   stored = request.body;
                                   return reply_of({}, 201);
                                 }),
                       answering("GET", "/a", [&stored](const http_server::Request&) { return reply_of(stored); })});
  const Folder folder;
  Client client(server.url());
  for (const auto& content : {large(), std::string()}) {
    write(folder.file("up"), content);
    std::uint64_t up = 0, down = 0;
    const auto put = client.put_file("/a", folder.file("up"), file_options(),
                                     [&up](std::uint64_t done, std::uint64_t) { up = done; });
    REQUIRE(put);
    CHECK(put->status == 201);
    CHECK(stored == content);
    const auto got = client.get_file("/a", folder.file("down"), file_options(),
                                     [&down](std::uint64_t done, std::uint64_t) { down = done; });
    REQUIRE(got);
    CHECK(got->body.empty());
    CHECK(content_of(folder.file("down")) == content);
    CHECK(up == content.size());
    CHECK(down == content.size());
  }
  CHECK(folder.files() == 2);
}

TEST_CASE("a download that fails leaves the old file and no part of the new one") {
  RawServer broken;
  const Server refusing({answering("GET", "/", [](const http_server::Request&) {
    return reply_of("{\"detail\":\"gone\"}", 404, "application/problem+json");
  })});
  const Folder folder;
  write(folder.file("kept"), "old");
  const auto thread = broken.serve({"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"});
  CHECK_FALSE(Client(broken.url()).get_file("/", folder.file("kept")));
  const auto refused = Client(refusing.url()).get_file("/", folder.file("kept"));
  REQUIRE(refused);
  CHECK(refused->status == 404);
  CHECK(refused->body == "{\"detail\":\"gone\"}");
  CHECK(content_of(folder.file("kept")) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("a refused upload is an answer, also if the server has not read all of it") {
  RawServer server;
  const Folder folder;
  write(folder.file("up"), large());
  const auto thread = server.serve({"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"});
  const auto answer = Client(server.url()).put_file("/", folder.file("up"));
  REQUIRE(answer);
  CHECK(answer->status == 413);
}

TEST_CASE("errors of local files name the file") {
  const Folder folder;
  Client client("http://127.0.0.1:1");
  CHECK(mentions(client.put_file("/", folder.file("none")).error(), folder.file("none")));
  CHECK(mentions(client.put_file("/", "/tmp").error(), "not a regular file"));
  CHECK(mentions(client.get_file("/", folder.file("no/such/folder")).error(), "cannot write"));
}

TEST_CASE("a sink's error ends the call and is its result") {
  const Server server({large_body()});
  const auto answer = Client(server.url()).get_stream("/", [](std::string_view) -> Status {
    return Error{"disk full", ErrorKind::full};
  });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message == "disk full");
  CHECK(answer.error().kind == ErrorKind::full);
}
