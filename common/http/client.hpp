// A small blocking HTTP client: for the command line, and for an agent that fetches and stores artifacts. Its
// connections are kept and used again. It follows no redirects and speaks nothing but http and https. A program that
// talks https must ignore SIGPIPE.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/time.hpp"

namespace edgefleet::http {

using Headers = std::vector<std::pair<std::string, std::string>>;

enum class Method { get, post, put, remove };

struct Request {
  Method method = Method::get;
  std::string path;       // begins with '/', escaped
  Headers headers{};      // beside our own; a value is never logged
  std::string_view body{};  // JSON, of a POST or a DELETE
};

// Any answer, refusals too: see problem.hpp for making an Error of those.
struct Response {
  int status = 0;
  std::string content_type;
  std::map<std::string, std::string> headers;  // names in small letters; at most 100, of repeated ones the last
  std::string body;  // empty where it went elsewhere
  std::optional<Duration> retry_after;
  [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
};

struct Options {
  Duration connect_timeout = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(30);  // in all, connecting included; zero: as long as it takes
  Duration stall_timeout{0};                    // this long without a byte ends it; whole seconds; zero: never
  std::size_t most_bytes = std::size_t{64} << 20U;  // of a body kept in memory; more is an error
  std::stop_token stop;                         // ends the call at once, with an Error of kind `unavailable`
  // Asked by the calling thread at least ten times a second; an error ends the call and becomes its result.
  std::function<Status()> watch;
};

// For files: however long they take, as long as bytes come.
Options file_options(std::stop_token stop = {});

// Who is called, for messages: "cannot reach <name> at <url>: connection refused; <hint>".
struct Peer {
  std::string name = "the coordinator";
  std::string hint = "is edgefleet-coordinator running there?";
};

// Bytes moved so far and in all (0: not known); called some times a second by the calling thread.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Takes the body of a success piece by piece; an error ends the call and becomes its result.
using Sink = std::function<Status(std::string_view piece)>;

// One client may be used by several threads at the same time. `path` begins with '/' and is escaped already.
// Errors: the call found no answer (unavailable), the URL or a local file is no good (invalid), the answer is over
// `most_bytes` (too_large), the disk is full (full).
class Client {
 public:
  explicit Client(const std::string& base_url, Peer peer = {});
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  [[nodiscard]] const std::string& base_url() const;

  // The body of a success goes to `sink` if there is one.
  Result<Response> send(const Request& request, const Options& options, const Sink& sink = {});
  Result<Response> get(const std::string& path, const Options& options = {});
  Result<Response> post(const std::string& path, std::string_view json_body, const Options& options = {});
  Result<Response> put_file(const std::string& path, const std::string& file_path,
                            const Options& options = file_options(), const Progress& progress = {});
  // The body of a success goes to `to_path`, which appears only when it is complete.
  Result<Response> get_file(const std::string& path, const std::string& to_path,
                            const Options& options = file_options(), const Progress& progress = {});
  Result<Response> get_stream(const std::string& path, const Sink& sink, const Options& options = file_options(),
                              const Progress& progress = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgefleet::http
