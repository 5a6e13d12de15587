// A client that loads an HTTP server, and measures it; bench/http_api.py runs it.
//
//   --connections N --seconds S     N connections; each sends the next request as soon as it has an answer
//   --hold N --holding REQUEST...   N connections; each sends one request and stays open. Then, after a line on
//                                   standard input, one connection sends a request every few milliseconds. --hold alone
//                                   holds nothing.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <thread>

namespace {

using Clock = std::chrono::steady_clock;

struct Settings {
  std::uint16_t port = 0;
  bool tls = false;
  std::string path = "/health";
  std::size_t connections = 0;
  double seconds = 5;
  std::size_t hold = 0;
  std::vector<std::string> holding;  // "GET /path", or "POST /path BODY"
  double pause_ms = 2;
};

std::string request_of(const std::string& text) {
  const auto method_end = text.find(' ');
  const auto path_end = std::min(text.find(' ', method_end + 1), text.size());
  const std::string body = path_end < text.size() ? text.substr(path_end + 1) : "";
  std::string request = text.substr(0, path_end) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  if (!body.empty()) {
    request += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return request + "\r\n" + body;
}

// The size of the first answer in `text`; 0: it is not complete. An answer with a body states its length.
std::size_t answer_bytes(const std::string& text) {
  static const std::string name = "Content-Length: ";
  const auto end = text.find("\r\n\r\n");
  if (end == std::string::npos) return 0;
  const auto length = text.find(name);
  const std::size_t body = length < end ? std::stoul(text.substr(length + name.size())) : 0;
  return end + 4 + body <= text.size() ? end + 4 + body : 0;
}

// The client does not check the certificate, which is self-signed.
SSL_CTX* tls_context() {
  static const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  return context.get();
}

class Channel {
 public:
  Channel(std::uint16_t port, bool tls) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {  // NOLINT: its shape
      throw std::runtime_error("cannot connect");
    }
    if (!tls) return;
    ssl_.reset(SSL_new(tls_context()));
    SSL_set_fd(ssl_.get(), socket_);
    if (SSL_connect(ssl_.get()) != 1) throw std::runtime_error("the TLS handshake failed");
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  Channel(Channel&&) = delete;
  Channel& operator=(Channel&&) = delete;
  ~Channel() { ::close(socket_); }

  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] bool send(const std::string& text) {
    const auto sent = ssl_ ? SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()))
                           : ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
    return sent == static_cast<std::int64_t>(text.size());
  }
  // Waits for data; false: the server has closed the connection.
  [[nodiscard]] bool receive() {
    char piece[16384];  // NOLINT
    const auto got =
        ssl_ ? SSL_read(ssl_.get(), piece, sizeof piece) : recv(socket_, piece, sizeof piece, 0);  // NOLINT
    if (got > 0) input_.append(piece, static_cast<std::size_t>(got));  // NOLINT
    return got > 0;
  }
  [[nodiscard]] bool begins_well() const { return input_.starts_with("HTTP/1.1 200 "); }
  // Whether an answer is complete; it is then removed.
  [[nodiscard]] bool take_answer() {
    const auto bytes = answer_bytes(input_);
    if (bytes > 0 && input_.compare(9, 3, "200") != 0) throw std::runtime_error("answered " + input_.substr(0, 200));
    input_.erase(0, bytes);
    return bytes > 0;
  }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  int socket_;
  std::unique_ptr<SSL, Free> ssl_;
  std::string input_;
};

std::string latencies(std::vector<double>& ms) {
  std::sort(ms.begin(), ms.end());
  const auto at = [&](double share) {
    return ms.empty() ? 0 : ms[static_cast<std::size_t>(share * static_cast<double>(ms.size() - 1))];
  };
  return R"("p50_ms":)" + std::to_string(at(0.5)) + R"(,"p99_ms":)" + std::to_string(at(0.99)) + R"(,"max_ms":)" +
         std::to_string(at(1));
}

double ms_since(Clock::time_point began) {
  return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
}

// ---- the highest rate of answers

class Load {
 public:
  explicit Load(const Settings& settings) : settings_(settings), request_(request_of("GET " + settings.path)) {}
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  Load(Load&&) = delete;
  Load& operator=(Load&&) = delete;
  ~Load() { ::close(epoll_); }

  std::string run() {
    for (std::size_t i = 0; i < settings_.connections; ++i) open(i);
    const auto began = Clock::now();
    while (ms_since(began) < settings_.seconds * 1000) turn();
    const double rate = static_cast<double>(times_.size()) / ms_since(began) * 1000;
    return R"({"per_s":)" + std::to_string(rate) + "," + latencies(times_) + R"(,"reconnected":)" +
           std::to_string(reconnected_) + "}";
  }

 private:
  struct Asking {
    std::unique_ptr<Channel> channel;
    Clock::time_point began;
  };

  void turn() {
    epoll_event events[64];  // NOLINT
    const int ready = epoll_wait(epoll_, events, 64, 100);  // NOLINT
    for (int i = 0; i < ready; ++i) step(events[i].data.u64);  // NOLINT
  }

  void step(std::size_t index) {
    Asking& asking = askings_[index];
    if (!asking.channel->receive()) {  // some servers close the connection after a number of requests
      ++reconnected_;
      return open(index);
    }
    if (!asking.channel->take_answer()) return;
    times_.push_back(ms_since(asking.began));
    ask(asking);
  }

  void open(std::size_t index) {
    if (askings_.size() <= index) askings_.resize(index + 1);
    Asking& asking = askings_[index];
    asking.channel = std::make_unique<Channel>(settings_.port, settings_.tls);
    epoll_event event{EPOLLIN, {}};
    event.data.u64 = index;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, asking.channel->socket(), &event);
    ask(asking);
  }

  void ask(Asking& asking) const {
    asking.began = Clock::now();
    (void)asking.channel->send(request_);  // if the server has closed, the next turn notices it
  }

  const Settings& settings_;
  const std::string request_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Asking> askings_;
  std::vector<double> times_;
  std::size_t reconnected_ = 0;
};

// ---- connections that wait, and one that measures

struct Holding {
  std::unique_ptr<Channel> channel;
  bool streams;
};

// A stream has received its head and stays open; a long poll that was answered or refused no longer waits.
bool waits(const Holding& holding) {
  const short ends = static_cast<short>(holding.streams ? POLLRDHUP : POLLRDHUP | POLLIN);
  pollfd state{holding.channel->socket(), ends, 0};
  return poll(&state, 1, 0) == 0;
}

// All requests are sent before the first answer is awaited, because the head of a stream may take a second. A stream is
// open when its head has status 200; a long poll receives nothing yet.
std::vector<Holding> hold_all(const Settings& settings) {
  std::vector<Holding> held;
  for (std::size_t i = 0; i < settings.hold; ++i) {
    const auto& request = settings.holding[i % settings.holding.size()];
    Holding holding{std::make_unique<Channel>(settings.port, settings.tls),
                    request.find("stream") != std::string::npos};
    if (holding.channel->send(request_of(request))) held.push_back(std::move(holding));
  }
  std::erase_if(held, [](const Holding& holding) {
    return holding.streams && !(holding.channel->receive() && holding.channel->begins_well());
  });
  return held;
}

std::vector<double> ask_paced(const Settings& settings) {
  const std::string request = request_of("GET " + settings.path);
  Channel channel(settings.port, settings.tls);
  std::vector<double> times;
  const auto pause =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(settings.pause_ms));
  const auto began = Clock::now();
  for (auto next = began; ms_since(began) < settings.seconds * 1000; next += pause) {
    std::this_thread::sleep_until(
        next);  // the interval; a late answer counts from the time at which its request was due
    if (!channel.send(request)) throw std::runtime_error("the server has closed");
    while (!channel.take_answer()) {
      if (!channel.receive()) throw std::runtime_error("the server has closed");
    }
    times.push_back(ms_since(next));
  }
  return times;
}

void hold(const Settings& settings) {
  const auto held = hold_all(settings);
  std::cout << R"({"asked":)" << settings.hold << "}" << std::endl;  // NOLINT: read at once
  std::string go;
  std::getline(std::cin, go);
  auto times = ask_paced(settings);
  const auto streams = std::count_if(held.begin(), held.end(), [](const auto& h) { return h.streams && waits(h); });
  const auto polls = std::count_if(held.begin(), held.end(), [](const auto& h) { return !h.streams && waits(h); });
  std::cout << R"({"open":)" << streams + polls << R"(,"streams":)" << streams << R"(,"polls":)" << polls << ","
            << latencies(times) << "}" << std::endl;  // NOLINT
}

void allow_descriptors() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app{"Loads an HTTP server on this machine, and measures it"};
  app.add_option("--port", settings.port)->required();
  app.add_flag("--tls", settings.tls);
  app.add_option("--path", settings.path, "path of the requests");
  app.add_option("--connections", settings.connections);
  app.add_option("--seconds", settings.seconds);
  app.add_option("--hold", settings.hold);
  app.add_option("--holding", settings.holding, "requests of the connections that are held, in turn");
  app.add_option("--pause-ms", settings.pause_ms);
  CLI11_PARSE(app, argc, argv);
  allow_descriptors();
  std::signal(SIGPIPE, SIG_IGN);  // a closed connection is an error of the write
  try {
    if (settings.connections > 0) {
      std::cout << Load(settings).run() << "\n";
    } else {
      hold(settings);
    }
  } catch (const std::exception& problem) {
    std::cerr << "edgefleet-bench-http: " << problem.what() << "\n";
    return 1;
  }
}
