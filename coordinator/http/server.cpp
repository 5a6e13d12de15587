#include "coordinator/http/server.hpp"

#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <condition_variable>
#include <deque>
#include <fstream>
#include <list>
#include <mutex>
#include <regex>
#include <thread>

#include "coordinator/http/bounded_place.hpp"
#include "coordinator/http/reading_bound.hpp"
#include "coordinator/http/views.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t longest_path = 512;  // routes are matched by std::regex, which recurses
constexpr std::size_t most_upload = std::size_t{1} << 40U;  // the artifact store has its own bound
constexpr std::size_t most_readers = 128;                // bodies that are being read at the same time
constexpr std::size_t most_bodies = 256 * 1024 * 1024;  // of them together
constexpr auto idle_thread = std::chrono::seconds(10);

// Threads as they are needed, up to a bound: a connection that waits holds one, and most of the time few wait.
class ElasticPool final : public httplib::TaskQueue {
 public:
  using Accepted = decltype(std::declval<httplib::TaskQueue&>().enqueue({}));  // void in 0.11, bool in 0.18

  explicit ElasticPool(std::size_t most) : most_(most) {}

  Accepted enqueue(std::function<void()> work) override {
    join_ended();
    const std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(work));
    if (idle_ < waiting_.size() && threads_.size() < most_) {
      const auto place = threads_.emplace(threads_.end());
      *place = std::thread([this, place] { run(place); });
    }
    filled_.notify_one();
    return static_cast<Accepted>(true);
  }

  void shutdown() override {
    std::unique_lock lock(mutex_);
    stopping_ = true;
    filled_.notify_all();
    ended_.wait(lock, [this] { return threads_.empty(); });
    lock.unlock();
    join_ended();
  }

 private:
  using Place = std::list<std::thread>::iterator;

  void join_ended() {
    std::vector<std::thread> over;
    {
      const std::lock_guard lock(mutex_);
      over.swap(over_);
    }
    for (auto& thread : over) thread.join();  // without the lock, which its last step still wants
  }

  void run(Place place) {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      filled_.wait_for(lock, idle_thread, [this] { return stopping_ || !waiting_.empty(); });
      --idle_;
      if (waiting_.empty()) break;  // idle for long, or stopping with nothing left
      const auto work = std::move(waiting_.front());
      waiting_.pop_front();
      lock.unlock();
      begin_head();
      work();
      lock.lock();
    }
    over_.push_back(std::move(*place));
    threads_.erase(place);
    ended_.notify_all();
  }

  const std::size_t most_;
  std::mutex mutex_;
  std::condition_variable filled_;
  std::condition_variable ended_;
  std::deque<std::function<void()>> waiting_;
  std::list<std::thread> threads_;
  std::vector<std::thread> over_;  // ended, to be joined by somebody else
  std::size_t idle_ = 0;
  bool stopping_ = false;
};

HttpRequest to_ours(const httplib::Request& request) {
  HttpRequest ours;
  for (std::size_t i = 1; i < request.matches.size(); ++i) ours.captures.push_back(request.matches[i].str());
  ours.query = [&request](const std::string& name) -> std::optional<std::string> {
    if (!request.has_param(name)) return std::nullopt;
    return request.get_param_value(name);
  };
  ours.header = [&request](const std::string& name) { return request.get_header_value(name); };
  ours.gone = peer_gone;
  return ours;
}

void stream_file(const std::string& path, const std::string& type, httplib::Response& response) {
  auto file = std::make_shared<std::ifstream>(path, std::ios::binary | std::ios::ate);
  if (!*file) {
    response.status = 404;
    return;
  }
  const auto bytes = static_cast<std::size_t>(file->tellg());
  if (bytes == 0) return response.set_content("", type);
  response.set_content_provider(bytes, type, [file](std::size_t offset, std::size_t length, httplib::DataSink& sink) {
    std::vector<char> piece(std::min<std::size_t>(length, 64 * 1024));
    file->seekg(static_cast<std::streamoff>(offset));
    file->read(piece.data(), static_cast<std::streamsize>(piece.size()));
    return file->gcount() > 0 && sink.write(piece.data(), static_cast<std::size_t>(file->gcount()));
  });
}

void stream_to(const HttpReply& reply, httplib::Response& response) {
  response.set_chunked_content_provider(reply.content_type,
                                        [stream = reply.stream](std::size_t, httplib::DataSink& sink) {
                                          bool there = true;
                                          stream(
                                              [&](std::string_view piece) {
                                                there = there && sink.write(piece.data(), piece.size());
                                                return there;
                                              },
                                              peer_gone);
                                          if (there) sink.done();
                                          return there;
                                        });
}

void to_library(const HttpReply& reply, httplib::Response& response) {
  response.status = reply.status;
  for (const auto& [name, value] : reply.headers) response.set_header(name, value);
  if (reply.stream) return stream_to(reply, response);
  if (!reply.file.empty()) return stream_file(reply.file, reply.content_type, response);
  response.set_content(reply.body, reply.content_type);
}

// For a request whose body was not read: the connection must end with the answer, or the rest of the body would be
// taken for the next request. The library closes when a provider gives up, here after it has given everything.
void to_library_and_close(const HttpReply& reply, httplib::Response& response) {
  response.status = reply.status;
  for (const auto& [name, value] : reply.headers) response.set_header(name, value);
  response.set_header("Connection", "close");
  response.set_content_provider(reply.body.size(), reply.content_type,
                                [body = reply.body](std::size_t offset, std::size_t, httplib::DataSink& sink) {
                                  sink.write(body.data() + offset, body.size() - offset);
                                  return false;
                                });
}

// Gives a body to `take` until that refuses it. What is left is read and thrown away, as far as that is bearable: a
// client that is still sending would not see the answer of a connection that is closed. True: it was read to its end.
bool read_and_drain(const httplib::ContentReader& read, const std::function<bool(const char*, std::size_t)>& take) {
  bool wanted = true;
  std::size_t drained = 0;
  return read([&](const char* data, std::size_t bytes) {
    if (wanted) {
      wanted = take(data, bytes);
    } else {
      drained += bytes;
    }
    return drained <= HttpServer::most_body;
  });
}

bool has_body(const httplib::Request& request) {
  const std::string length = request.get_header_value("Content-Length");
  return request.has_header("Transfer-Encoding") || (!length.empty() && length != "0");
}

std::string host_of(std::string authority) {
  if (!authority.empty() && authority.front() == '[') return authority.substr(0, authority.find(']') + 1);
  return authority.substr(0, authority.find(':'));
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// A name that no stranger's DNS can point at us: an address, or a name of the local network.
bool local_name(const std::string& host) {
  if (host.empty() || host.front() == '[' || host.find('.') == std::string::npos) return true;
  if (host.find_first_not_of("0123456789.") == std::string::npos) return true;
  const auto local_ends = {".local", ".lan", ".internal", ".home.arpa", ".localhost"};
  return std::any_of(local_ends.begin(), local_ends.end(), [&](const char* end) { return ends_with(host, end); });
}

// A browser says where a page comes from: pages of other sites may not use the fleet, whatever name they found for us.
bool foreign_page(const httplib::Request& request) {
  const std::string origin = request.get_header_value("Origin");
  if (origin.empty()) return false;
  const std::string host = request.get_header_value("Host");
  const auto scheme_end = origin.find("://");
  const std::string authority = scheme_end == std::string::npos ? origin : origin.substr(scheme_end + 3);
  return authority != host || !local_name(host_of(host));
}

}  // namespace

static Error nothing_at(const httplib::Request& request) {
  return Error{"there is nothing at " + request.method.substr(0, 16) + " " + request.path.substr(0, 200) +
                   "; see docs/http-api.md",
               ErrorKind::not_found};
}

HttpReply problem(const Error& error) {
  HttpReply reply{http_status(error.kind), problem_view(error), "application/problem+json", {}, {}, {}};
  if (reply.status == 429 || reply.status == 503) reply.headers.emplace_back("Retry-After", "1");
  return reply;
}

namespace {

// Bodies that are being read may not hold every thread...
HttpReply no_place() {
  return problem(Error{"too many requests are being read; try again in a second", ErrorKind::unavailable});
}

// ... nor all memory.
class BodyShare {
 public:
  explicit BodyShare(std::atomic<std::size_t>& all) : all_(all) {}
  BodyShare(const BodyShare&) = delete;
  BodyShare& operator=(const BodyShare&) = delete;
  BodyShare(BodyShare&&) = delete;
  BodyShare& operator=(BodyShare&&) = delete;
  ~BodyShare() { all_ -= own_; }
  bool grow(std::size_t bytes) {
    own_ += bytes;
    return (all_ += bytes) <= most_bodies;
  }

 private:
  std::atomic<std::size_t>& all_;
  std::size_t own_ = 0;
};

std::optional<Error> refusal_of(std::size_t body_bytes, bool room) {
  if (body_bytes > HttpServer::most_body) {
    return Error{"the body is larger than " + std::to_string(HttpServer::most_body) + " bytes", ErrorKind::too_large};
  }
  if (room) return std::nullopt;
  return Error{"too many large requests at the same time; try again in a second", ErrorKind::unavailable};
}

// The headers that let a page of another site see the answer; those it wants to send are its own affair.
void answer_page(const httplib::Request& request, httplib::Response& response) {
  response.set_header("Access-Control-Allow-Origin", request.get_header_value("Origin"));
  response.set_header("Vary", "Origin");
  response.set_header("Access-Control-Expose-Headers", "Location, Retry-After");
  if (request.method != "OPTIONS") return;
  response.set_header("Access-Control-Allow-Methods", "GET, POST, PUT");
  response.set_header("Access-Control-Max-Age", "600");
  const std::string wanted = request.get_header_value("Access-Control-Request-Headers");
  const auto token = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == ',' || c == ' ';
  };
  if (!wanted.empty() && std::all_of(wanted.begin(), wanted.end(), token)) {
    response.set_header("Access-Control-Allow-Headers", wanted);
  }
}

}  // namespace

struct HttpServer::Library {
  std::atomic<std::size_t> body_readers{0};
  std::atomic<std::size_t> body_bytes{0};
  httplib::Server server;
  std::vector<std::pair<std::string, std::regex>> takes_body;  // method and path of the routes that read a body
  std::vector<std::string> origins;  // other sites whose pages may use the API

  [[nodiscard]] bool allowed_page(const httplib::Request& request) const {
    const std::string origin = request.get_header_value("Origin");
    return !origin.empty() && std::find(origins.begin(), origins.end(), origin) != origins.end();
  }

  // What a browser asks before it lets a page of another site send anything but the simplest requests.
  [[nodiscard]] bool preflight(const httplib::Request& request) const {
    return request.method == "OPTIONS" && request.has_header("Access-Control-Request-Method") && allowed_page(request);
  }

  // What is refused before its body is read: only our own handlers read bodies, and they bound them.
  [[nodiscard]] std::optional<HttpReply> refusal(const httplib::Request& request) const {
    if (request.path.size() > longest_path) {
      return problem(Error{"there is nothing at such a long path", ErrorKind::not_found});
    }
    if (foreign_page(request) && !allowed_page(request)) {
      auto reply = problem(Error{
          "pages of other sites may not use this API; the coordinator's option --allow-origin names those that may",
          ErrorKind::invalid});
      reply.status = 403;
      return reply;
    }
    const bool reads = request.method == "GET" || request.method == "HEAD";
    const bool wanted = std::any_of(takes_body.begin(), takes_body.end(), [&](const auto& route) {
      return route.first == request.method && std::regex_match(request.path, route.second);
    });
    if (wanted && request.get_header_value("Content-Type").starts_with("multipart/")) {
      auto reply = problem(Error{"multipart bodies are not understood; send the body as it is", ErrorKind::invalid});
      reply.status = 415;
      return reply;
    }
    if (wanted || (reads && !has_body(request))) return std::nullopt;
    if (reads) return problem(Error{"a " + request.method + " request has no body", ErrorKind::invalid});
    return problem(nothing_at(request));
  }
};

HttpServer::HttpServer() : library_(std::make_unique<Library>()) {
  auto& server = library_->server;
  server.new_task_queue = [] { return new ElasticPool(most_threads); };  // NOLINT: the library deletes it
  server.set_tcp_nodelay(true);
  server.set_payload_max_length(most_upload);
  server.set_keep_alive_max_count(1'000'000);
  server.set_keep_alive_timeout(2);  // also how long an idle connection holds up a stop
  server.set_read_timeout(15);  // without a byte; also how long a stalled body holds up a stop
  server.set_write_timeout(30);
  server.set_logger([](const httplib::Request&, const httplib::Response&) { begin_head(); });  // after each answer
  server.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
    has_body(request) ? begin_body() : end_reading();
    if (library_->allowed_page(request)) answer_page(request, response);
    if (library_->preflight(request)) {
      response.status = 204;
      return httplib::Server::HandlerResponse::Handled;
    }
    auto refusal = library_->refusal(request);
    if (!refusal) return httplib::Server::HandlerResponse::Unhandled;
    to_library_and_close(*refusal, response);
    return httplib::Server::HandlerResponse::Handled;
  });
  server.set_error_handler([](const httplib::Request& request, httplib::Response& response) {
    if (response.has_header("Content-Type")) return;  // one of ours, which says more
    const int status = response.status;
    const bool unknown = status == 404;
    auto reply = problem(unknown ? nothing_at(request) : Error{"the request could not be read", ErrorKind::invalid});
    reply.status = status;
    to_library_and_close(reply, response);
  });
  server.set_exception_handler([](const httplib::Request&, httplib::Response& response, const std::exception_ptr&) {
    to_library_and_close(problem(Error{"the coordinator failed at this request", ErrorKind::internal}), response);
  });
}

HttpServer::~HttpServer() = default;

void HttpServer::get(const std::string& pattern, Handler handler) {
  library_->server.Get(pattern,
                       [handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
                         to_library(handler(to_ours(request)), response);
                       });
}

void HttpServer::post(const std::string& pattern, Handler handler) {
  library_->takes_body.emplace_back("POST", pattern);
  library_->server.Post(
      pattern, [handler = std::move(handler), library = library_.get()](
                   const httplib::Request& request, httplib::Response& response, const httplib::ContentReader& read) {
        const BoundedPlace place(library->body_readers, most_readers);
        if (!place.granted()) return to_library_and_close(no_place(), response);
        BodyShare share(library->body_bytes);
        HttpRequest ours = to_ours(request);
        std::optional<Error> refused;
        const bool complete = !has_body(request) || read_and_drain(read, [&](const char* data, std::size_t bytes) {
          refused = refusal_of(ours.body.size() + bytes, share.grow(bytes));
          if (!refused) ours.body.append(data, bytes);
          return !refused;
        });
        end_reading();
        if (!complete && !refused) refused = Error{"the body could not be read", ErrorKind::invalid};
        const auto reply = refused ? problem(*refused) : handler(ours);
        complete ? to_library(reply, response) : to_library_and_close(reply, response);
      });
}

void HttpServer::put(const std::string& pattern, UploadHandler handler) {
  library_->takes_body.emplace_back("PUT", pattern);
  library_->server.Put(pattern,
                       [handler = std::move(handler), library = library_.get()](
                           const httplib::Request&, httplib::Response& response, const httplib::ContentReader& read) {
                         const BoundedPlace place(library->body_readers, most_readers);
                         if (!place.granted()) return to_library_and_close(no_place(), response);
                         const Upload upload = handler();
                         const bool complete = read_and_drain(read, upload.piece);
                         end_reading();
                         auto reply = upload.end();
                         if (complete) return to_library(reply, response);
                         if (reply.status < 300)
                           reply = problem(Error{"the body could not be read", ErrorKind::invalid});
                         to_library_and_close(reply, response);
                       });
}

void HttpServer::allow_origins(std::vector<std::string> origins) { library_->origins = std::move(origins); }

Result<int> HttpServer::listen(const std::string& host, int port) {
  // Without SO_REUSEPORT, the library's default: two coordinators on one port would share its requests.
  socket_t bound = INVALID_SOCKET;
  library_->server.set_socket_options([&bound](socket_t socket) {
    const int on = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bound = socket;
  });
  // The library lets five connections wait to be accepted; those beyond come again a second later, by TCP's clock.
  const auto let_more_wait = [&bound] { ::listen(bound, static_cast<int>(most_threads)); };
  if (port == 0) {
    const int any = library_->server.bind_to_any_port(host);
    if (any < 0) return Error{"cannot listen on " + host};
    let_more_wait();
    return any;
  }
  if (!library_->server.bind_to_port(host, port)) {
    return Error{"cannot listen on " + host + ":" + std::to_string(port) +
                 ": the port is in use, or the address is not this machine's; choose another with --listen"};
  }
  let_more_wait();
  return port;
}

void HttpServer::serve() { library_->server.listen_after_bind(); }

void HttpServer::stop() {
  stop_reading();
  library_->server.stop();
}

}  // namespace edgefleet::coordinator
