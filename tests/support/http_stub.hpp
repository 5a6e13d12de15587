// A server on loopback that returns the answers of a list, one for each request, and records the requests.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace edgefleet::test {

class HttpStub {
 public:
  struct Request {
    std::string head;  // from the request line to the empty line
    std::string body;
  };
  // The last answer is repeated.
  explicit HttpStub(std::vector<std::string> answers) : answers_(std::move(answers)), listener_(listen_on_loopback()) {
    sockaddr_in address{};
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
  }
  HttpStub(const HttpStub&) = delete;
  HttpStub& operator=(const HttpStub&) = delete;
  HttpStub(HttpStub&&) = delete;
  HttpStub& operator=(HttpStub&&) = delete;
  ~HttpStub() {
    thread_ = {};
    ::close(listener_);
  }
  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

  static std::string answer(const std::string& status, const std::string& body,
                            const std::string& type = "application/json") {
    return "HTTP/1.1 " + status + "\r\nContent-Type: " + type + "\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\nConnection: close\r\n\r\n" + body;
  }

 private:
  static int listen_on_loopback() {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener, 16) != 0) {
      throw std::runtime_error("no port on loopback");
    }
    return listener;
  }
  // False: nothing to read within the time limit of the test, or the stub is stopping.
  static bool readable(int fd, const std::stop_token& stop) {
    pollfd one{fd, POLLIN, 0};
    while (!stop.stop_requested()) {
      if (::poll(&one, 1, 20) > 0) return true;
    }
    return false;
  }
  void serve(const std::stop_token& stop) {
    while (readable(listener_, stop)) {
      const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      converse(connection, stop);
      ::close(connection);
    }
  }
  void converse(int connection, const std::stop_token& stop) {
    std::string got;
    std::array<char, 65536> piece{};
    std::size_t missing = 1;
    for (bool told = false; missing > 0 && readable(connection, stop);) {
      const ssize_t bytes = ::read(connection, piece.data(), piece.size());
      if (bytes <= 0) return;
      got.append(piece.data(), static_cast<std::size_t>(bytes));
      const auto end = got.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      if (!told && got.find("100-continue") < end) send(connection, "HTTP/1.1 100 Continue\r\n\r\n");
      told = true;
      const std::size_t whole = end + 4 + length_in(got.substr(0, end));
      missing = got.size() < whole ? whole - got.size() : 0;
    }
    if (missing > 0) return;
    const auto end = got.find("\r\n\r\n") + 4;
    std::string reply;
    {
      const std::lock_guard lock(mutex_);
      reply = answers_[std::min(requests_.size(), answers_.size() - 1)];
      requests_.push_back({got.substr(0, end), got.substr(end)});
    }
    send(connection, reply);
  }
  static std::size_t length_in(std::string head) {
    std::transform(head.begin(), head.end(), head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const auto at = head.find("content-length:");
    return at == std::string::npos ? 0 : std::stoul(head.substr(at + 15));
  }
  static void send(int connection, const std::string& text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t sent = ::send(connection, text.data() + done, text.size() - done, MSG_NOSIGNAL);
      if (sent <= 0) return;
      done += static_cast<std::size_t>(sent);
    }
  }

  const std::vector<std::string> answers_;
  int listener_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace edgefleet::test
