#include "common/http_server/server.hpp"

#include <netinet/tcp.h>
#include <sys/resource.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <ctime>
#include <future>
#include <list>
#include <set>
#include <thread>
#include <utility>

#include "common/http_server/connection.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::http_server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto tick_interval = std::chrono::milliseconds(250);
constexpr auto pause_without_descriptors = std::chrono::milliseconds(100);
constexpr std::string_view crowded =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n"
    "Connection: close\r\n\r\n"
    R"({"type":"about:blank","title":"Service Unavailable","status":503,"detail":"too many connections are open"})";

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[40];  // NOLINT: strftime's own shape
  // Not strftime's names: they depend on the locale.
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};  // NOLINT
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",        // NOLINT
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::strftime(text, sizeof text, "%d @ %Y %H:%M:%S GMT", &utc);  // NOLINT
  std::string date = text;                                        // NOLINT
  date.replace(date.find('@'), 1, months[utc.tm_mon]);            // NOLINT
  return std::string(days[utc.tm_wday]) + ", " + date;            // NOLINT
}

// Each client needs a file descriptor; the soft limit is often 1024, and a program may raise it to the hard limit.
// Returns the number of connections for which there is one, beside what the program needs itself.
std::size_t allow_descriptors(std::size_t connections) {
  constexpr std::size_t others = 256;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= connections + others) return connections;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, connections + others);
  setrlimit(RLIMIT_NOFILE, &limit);
  return std::min<std::size_t>(connections, limit.rlim_cur > 2 * others ? limit.rlim_cur - others : limit.rlim_cur / 2);
}

Bounds granted(Bounds bounds) {
  bounds.connections = allow_descriptors(bounds.connections);
  return bounds;
}

// One machine may have each address of an IPv6 network of 64 bits.
std::string peer_of(const asio::ip::address& address) {
  if (!address.is_v6()) return address.to_string();
  auto bytes = address.to_v6().to_bytes();
  if (!address.is_loopback()) std::fill(bytes.begin() + bytes.size() / 2, bytes.end(), std::uint8_t{0});
  return asio::ip::make_address_v6(bytes).to_string();
}

struct Listener {
  tcp::acceptor acceptor;
  std::shared_ptr<const Site> site;
  std::shared_ptr<Tls> tls;
  asio::steady_timer pause;
};

// Mistakes of a person who starts a server, with what to do.
std::string why_not(const boost::system::error_code& error) {
  if (error == boost::asio::error::address_in_use) return "another program listens there";
  if (error == boost::system::errc::address_not_available) return "this machine has no such address (ip address)";
  if (error == boost::asio::error::access_denied) return "ports below 1024 need a privilege; take another one";
  return error.message();
}

}  // namespace

struct Server::Inside {
  explicit Inside(const Bounds& bounds) : core(std::make_shared<Core>(granted(bounds))), ticker(core->io) {}

  std::shared_ptr<Core> core;
  asio::steady_timer ticker;
  std::list<Listener> listeners;
  std::atomic<std::size_t> open{0};
  Time cut_at = Time::max();  // when we stop
  std::promise<void> all_closed;
  Time certificates_due = Time::min();
  bool checks_certificates = false;
  bool told_closed = false;  // a tick that had expired before it was cancelled still runs
  std::future<void> closed = all_closed.get_future();
  std::jthread thread;

  void accept(Listener& listener);
  void admit(Listener& listener, tcp::socket socket);
  void tick();
  void check_certificates(Time now);
  void stop();
  void end();
};

Server::Server(const Bounds& bounds) : inside_(std::make_unique<Inside>(bounds)) {}

Server::~Server() {
  if (!inside_->thread.joinable()) return;
  inside_->core->io.stop();
  inside_->thread.join();
  inside_->core->pool.stop();
  inside_->end();
}

static Result<std::vector<tcp::endpoint>> endpoints_of(asio::io_context& io, const ListenAddress& address) {
  if (address.all()) return std::vector{tcp::endpoint(tcp::v6(), static_cast<unsigned short>(address.port))};
  boost::system::error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(address.host, std::to_string(address.port), tcp::resolver::passive, error);
  if (error) return Error{"unknown host: " + address.host, ErrorKind::invalid};
  std::vector<tcp::endpoint> endpoints;
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  return endpoints;
}

// Without SO_REUSEPORT: two programs on one port would share its requests.
static boost::system::error_code open_acceptor(tcp::acceptor& acceptor, const tcp::endpoint& endpoint, bool all) {
  boost::system::error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (error) return error;
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (endpoint.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(!all), error);
  acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(1024, error);
  return error;
}

Result<ListenAddress> Server::listen(const ListenAddress& address, Site site, std::shared_ptr<Tls> tls) {
  auto& io = inside_->core->io;
  auto endpoints = endpoints_of(io, address);
  if (!endpoints) return endpoints.error();
  const auto shared = std::make_shared<const Site>(std::move(site));
  ListenAddress taken = address;
  boost::system::error_code first_error;
  std::size_t open = 0;
  for (auto endpoint : *endpoints) {
    if (taken.port != 0) endpoint.port(static_cast<unsigned short>(taken.port));
    tcp::acceptor acceptor(io);
    auto error = open_acceptor(acceptor, endpoint, address.all());
    if (error && address.all()) {  // a machine without IPv6
      acceptor = tcp::acceptor(io);
      error = open_acceptor(acceptor, {tcp::v4(), endpoint.port()}, true);
    }
    if (error) {
      if (!first_error) first_error = error;
      continue;
    }
    taken.port = acceptor.local_endpoint().port();
    inside_->listeners.push_back({std::move(acceptor), shared, tls, asio::steady_timer(io)});
    ++open;
  }
  // Half of the addresses of a name would leave clients to the other program.
  const bool in_use = address.port != 0 && first_error == boost::asio::error::address_in_use;
  if (open > 0 && !in_use) return taken;
  while (open-- > 0) inside_->listeners.pop_back();
  const std::string where = (address.all() ? "*" : address.host) + ":" + std::to_string(address.port);
  return Error{"cannot listen on " + where + ": " + why_not(first_error), ErrorKind::unavailable};
}

void Server::start() {
  Inside& inside = *inside_;
  inside.core->date = http_date();
  for (auto& listener : inside.listeners) inside.accept(listener);
  inside.tick();
  inside.thread = std::jthread([&inside] { inside.core->io.run(); });
}

void Server::stop() {
  inside_->core->stopping = true;
  asio::post(inside_->core->io, [this] { inside_->stop(); });
}

bool Server::stopped_within(Duration patience) {
  return inside_->closed.wait_for(patience) == std::future_status::ready;
}

std::size_t Server::connections() const { return inside_->open; }

// ---- the server's thread

void Server::Inside::accept(Listener& listener) {
  listener.acceptor.async_accept([this, &listener](const boost::system::error_code& error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || !listener.acceptor.is_open()) return;
    if (!error) {
      admit(listener, std::move(socket));
      return accept(listener);
    }
    listener.pause.expires_after(pause_without_descriptors);
    listener.pause.async_wait([this, &listener](const boost::system::error_code& stopped) {
      if (!stopped) accept(listener);
    });
  });
}

void Server::Inside::admit(Listener& listener, tcp::socket socket) {
  boost::system::error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (error) return;
  auto from = remote.address();
  if (from.is_v6() && from.to_v6().is_v4_mapped()) {
    from = asio::ip::make_address_v4(asio::ip::v4_mapped, from.to_v6());
  }
  const std::string address = peer_of(from);
  auto& use = core->peers[address];
  if (!use) use = std::make_shared<PeerUse>(core->bounds, !from.is_loopback() || core->bounds.limit_loopback);
  const bool too_many =
      core->connections.size() >= core->bounds.connections || use->connections >= use->most_connections;
  socket.non_blocking(true, error);
  socket.set_option(tcp::no_delay(true), error);
  const int descriptor = socket.native_handle();
  auto link = listener.tls ? listener.tls->link(descriptor) : tcp_link(descriptor);
  if (too_many || !link) {
    if (!listener.tls) (void)tcp_link(descriptor)->write(crowded);
    if (use->connections == 0) core->peers.erase(address);
    return;
  }
  ++use->connections;
  auto connection = std::make_shared<Connection>(core, listener.site, std::move(socket), std::move(link),
                                                 listener.tls != nullptr, address, use);
  core->connections.insert(connection);
  open = core->connections.size();
  connection->start();
}

// Queued work may own the core, which owns the queue: it is run, so that both are freed. The server's thread has ended.
void Server::Inside::end() {
  {
    const std::lock_guard lock(core->ending);
    core->ended = true;
  }
  for (auto& listener : listeners) {
    boost::system::error_code ignored;
    listener.acceptor.close(ignored);
    listener.pause.cancel();
  }
  ticker.cancel();
  do {
    const auto present = core->connections;
    for (const auto& connection : present) connection->close();
    core->io.restart();
    core->io.poll();
  } while (!core->connections.empty());
}

void Server::Inside::tick() {
  core->date = http_date();
  const Time now = monotonic_now();
  const auto present = core->connections;  // a tick may close some
  for (const auto& connection : present) now >= cut_at ? connection->close() : connection->tick(now);
  open = core->connections.size();
  check_certificates(now);
  if (core->stopping && core->connections.empty() && cut_at != Time::max()) {
    if (!std::exchange(told_closed, true)) all_closed.set_value();
    return;
  }
  ticker.expires_after(core->stopping ? std::chrono::milliseconds(10) : tick_interval);
  ticker.async_wait([this](const boost::system::error_code& error) {
    if (!error) tick();
  });
}

// On the pool: the files may be on a slow disk. One check at a time.
void Server::Inside::check_certificates(Time now) {
  if (checks_certificates || now < certificates_due) return;
  certificates_due = now + core->bounds.certificate_check;
  std::set<std::shared_ptr<Tls>> all;
  for (const auto& listener : listeners) {
    if (listener.tls) all.insert(listener.tls);
  }
  if (all.empty()) return;
  const auto check = [this, server = core, all = std::move(all)] {
    for (const auto& tls : all) tls->refresh();
    server->post([this] { checks_certificates = false; });
  };
  checks_certificates = core->pool.run(check, Lane::files);
}

void Server::Inside::stop() {
  if (cut_at != Time::max()) return;
  cut_at = monotonic_now() + core->bounds.stop;
  for (auto& listener : listeners) {
    boost::system::error_code ignored;
    listener.acceptor.close(ignored);
    listener.pause.cancel();
  }
  const auto present = core->connections;
  for (const auto& connection : present) connection->stop();
  ticker.cancel();
  tick();
}

}  // namespace edgefleet::http_server
