// A small blocking HTTP client: for the command line, and for an agent that fetches and stores artifacts. It reuses
// connections, follows no redirects and supports only http and https. A program that uses https must ignore
// SIGPIPE.
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
  Headers headers{};      // added to our own; a value is never logged
  std::string_view body{};  // JSON, of a POST or a DELETE
};

// Any answer, including errors: problem.hpp converts those to an Error.
struct Response {
  int status = 0;
  std::string content_type;
  std::map<std::string, std::string> headers;  // names in lower case; at most 100; the last of repeated ones
  std::string body;  // empty if it was written to a sink or file
  std::string certificate;  // PEM, of the server, if it was asked for; empty: the connection was open already
  std::optional<Duration> retry_after;
  [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
};

// `only`: the call ends with the TLS handshake, so the server may be of any protocol; no proxy is used. The response
// has nothing but the certificate.
enum class ServerCertificate { not_wanted, wanted, only };

struct Options {
  Duration connect_timeout = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(30);  // of the whole call, connecting included; zero: none
  Duration stall_timeout{0};                    // the longest time without a byte; whole seconds; zero: none
  // Of a body in memory; a larger one is an error. A task with the largest output that an owner may allow fits.
  std::size_t most_bytes = std::size_t{65} << 20U;
  std::stop_token stop;                         // ends the call at once, with an Error of kind `unavailable`
  ServerCertificate certificate = ServerCertificate::not_wanted;
  // Called by the calling thread at least ten times a second; an error ends the call and becomes its result.
  std::function<Status()> watch;
};

// For files: no limit on the whole transfer as long as bytes arrive.
Options file_options(std::stop_token stop = {});

// The peer's name in messages: "cannot reach <name> at <url>: connection refused; <hint>".
struct Peer {
  std::string name = "the coordinator";
  std::string hint = "is edgefleet-coordinator running there?";
};

// How this program proves who it is, and how it knows the peer.
struct Credentials {
  std::string ca{};  // PEM file of the authority that the peer's certificate must be of; empty: the system's
  std::string certificate{};  // PEM file, of a client; its key is in the file `key`
  std::string key{};
  std::string bearer{};  // sent as `Authorization: Bearer`, but never in the clear to another machine
  // Whose certificate the peer has does not matter: for what is public, such as the certificate of an authority. Not
  // together with a certificate or a bearer.
  bool unverified = false;
};

// Bytes transferred so far and in total (0: unknown); called several times a second by the calling thread.
using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

// Receives the body of a success piece by piece; an error ends the call and becomes its result.
using Sink = std::function<Status(std::string_view piece)>;

// One client may be used by several threads at the same time. `path` begins with '/' and is escaped already.
// Errors: no answer (unavailable), the URL or a local file is not valid (invalid), the answer is larger than
// `most_bytes` (too_large), the disk is full (full).
class Client {
 public:
  explicit Client(const std::string& base_url, Peer peer = {}, Credentials credentials = {});
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
