// The client against real servers on loopback.
#include "common/http/client.hpp"

#include <arpa/inet.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::http;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

// A server that runs as long as the test.
class Server {
 public:
  explicit Server(const std::function<void(httplib::Server&)>& routes) {
    routes(server_);
    port_ = server_.bind_to_any_port("127.0.0.1");
    thread_ = std::jthread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  Server(Server&&) = delete;
  Server& operator=(Server&&) = delete;
  ~Server() { server_.stop(); }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

 private:
  httplib::Server server_;
  int port_ = 0;
  std::jthread thread_;
};

// Listens and queues connections in its backlog; each call of `serve` answers one with `answer` and closes it.
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

  std::jthread serve(std::string answer) {
    return std::jthread([this, answer = std::move(answer)] {
      const int connection = accept(descriptor_, nullptr, nullptr);
      char request[4096];
      [[maybe_unused]] const auto got = ::read(connection, request, sizeof request);
      [[maybe_unused]] const auto sent = ::write(connection, answer.data(), answer.size());
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

bool mentions(const Error& error, const std::string& text) { return error.message.find(text) != std::string::npos; }

std::string large() {
  std::string text(3'000'000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 31 % 251);
  return text;
}

}  // namespace

TEST_CASE("an answer has its status, type and body, also if it is an error") {
  const Server server([](httplib::Server& s) {
    s.Get("/ok", [](const auto&, auto& response) { response.set_content("{}", "application/json"); });
    s.Get("/busy", [](const auto&, auto& response) {
      response.status = 429;
      response.set_header("Retry-After", "7");
      response.set_content("{}", "application/problem+json");
    });
  });
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
  const Server server([](httplib::Server& s) {
    s.Post("/", [](const httplib::Request& request, auto& response) {
      response.status = 202;
      response.set_content(
          request.get_header_value("Content-Type") + "|" + request.get_header_value("Expect") + "|" + request.body,
          "text/plain");
    });
  });
  Client client(server.url());
  const auto answer = client.post("/", "{\"a\":1}");
  REQUIRE(answer);
  CHECK(answer->status == 202);
  CHECK(answer->body == "application/json||{\"a\":1}");
  CHECK(client.post("/", {})->body == "application/json||");
}

TEST_CASE("a connection is reused") {
  std::set<int> ports;  // only the thread of the one connection writes it
  const Server server([&ports](httplib::Server& s) {
    s.Get("/", [&ports](const httplib::Request& request, auto&) { ports.insert(request.remote_port); });
  });
  Client client(server.url());
  for (int i = 0; i < 3; ++i) REQUIRE(client.get("/"));
  CHECK(ports.size() == 1);
}

TEST_CASE("a client serves several threads at once") {
  const Server server([](httplib::Server& s) {
    s.Get(R"(/(\d+))", [](const httplib::Request& request, auto& response) {
      response.set_content(request.matches[1].str(), "text/plain");
    });
  });
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
  std::atomic<bool> over = false;
  const Server server([&over](httplib::Server& s) {
    s.Get("/trickle", [&over](const auto&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [&over](std::size_t, httplib::DataSink& sink) {
        sink.write(".", 1);
        std::this_thread::sleep_for(20ms);
        return !over;
      });
    });
    s.Get("/stall", [&over](const auto&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [&over](std::size_t offset, httplib::DataSink& sink) {
        if (offset == 0) return sink.write(".", 1);
        over.wait(false);
        return false;
      });
    });
  });
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
  over = true;
  over.notify_all();
}

TEST_CASE("a body over the bound is an error and is not kept in memory") {
  const Server server([](httplib::Server& s) {
    s.Get("/",
          [](const auto&, httplib::Response& response) { response.set_content(large(), "application/octet-stream"); });
  });
  Options options;
  options.most_bytes = 100'000;
  const auto answer = Client(server.url()).get("/", options);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::too_large);
  CHECK(mentions(answer.error(), "100000 bytes"));
}

TEST_CASE("a stop request ends a long poll at once") {
  std::atomic<bool> asked = false;
  std::atomic<bool> over = false;
  const Server server([&](httplib::Server& s) {
    s.Get("/", [&](const auto&, auto&) {
      asked = true;
      asked.notify_all();
      over.wait(false);
    });
  });
  std::stop_source source;
  Options options;
  options.timeout = 60s;
  options.stop = source.get_token();
  std::chrono::steady_clock::time_point stopped;
  std::jthread stopper([&] {
    asked.wait(false);
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
  over = true;
  over.notify_all();
}

TEST_CASE("a connection that breaks during an answer is an error") {
  RawServer server;
  const auto thread = server.serve("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
  const auto answer = Client(server.url()).get("/");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::unavailable);
  CHECK(mentions(answer.error(), "broke before the answer was complete"));
}

TEST_CASE("the error names a server that does not use HTTP") {
  RawServer server;
  const auto thread = server.serve("SSH-2.0-OpenSSH_9.2\r\n");
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
  const Server server([](httplib::Server& s) {
    s.Get("/", [](const auto&, httplib::Response& response) { response.set_redirect("/elsewhere"); });
  });
  CHECK(Client(server.url()).get("/")->status == 302);
}

TEST_CASE("a file is uploaded and downloaded unchanged") {
  std::string stored;
  const Server server([&stored](httplib::Server& s) {
    s.Put("/a", [&stored](const httplib::Request& request, httplib::Response& response) {
      stored = request.body;
      response.status = 201;
    });
    s.Get("/a", [&stored](const auto&, httplib::Response& response) {
      response.set_content(stored, "application/octet-stream");
    });
  });
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
  const Server refusing([](httplib::Server& s) {
    s.Get("/", [](const auto&, httplib::Response& response) {
      response.status = 404;
      response.set_content("{\"detail\":\"gone\"}", "application/problem+json");
    });
  });
  const Folder folder;
  write(folder.file("kept"), "old");
  const auto thread = broken.serve("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
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
  const auto thread = server.serve("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
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
  const Server server([](httplib::Server& s) {
    s.Get("/",
          [](const auto&, httplib::Response& response) { response.set_content(large(), "application/octet-stream"); });
  });
  const auto answer = Client(server.url()).get_stream("/", [](std::string_view) -> Status {
    return Error{"disk full", ErrorKind::full};
  });
  REQUIRE_FALSE(answer);
  CHECK(answer.error().message == "disk full");
  CHECK(answer.error().kind == ErrorKind::full);
}
