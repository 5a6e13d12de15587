// HTTP in, without a type of the library that does it: cpp-httplib 0.11 (Debian 12) and 0.18 (Debian 13) differ, and
// the difference ends in server.cpp.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

struct HttpRequest {
  std::vector<std::string> captures;  // groups of the route's pattern
  std::string body;                   // within Route::most_body
  std::function<std::optional<std::string>(const std::string&)> query;
  std::function<std::string(const std::string&)> header;
  std::function<bool()> gone;  // the client has closed its side; on the handler's thread
};

struct HttpReply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string file;  // instead of the body: the content of this file
  // Instead of the body: runs on the request's thread until all is sent. `send` false: the client has gone.
  using Send = std::function<bool(std::string_view)>;
  using Gone = std::function<bool()>;
  std::function<void(const Send& send, const Gone& gone)> stream;
};

HttpReply problem(const Error& error);
inline HttpReply json_reply(int status, std::string body) {
  return {status, std::move(body), "application/json", {}, {}, {}};
}

class HttpServer {
 public:
  using Handler = std::function<HttpReply(const HttpRequest&)>;
  // Takes a body piece by piece; what `end` returns is the reply. `piece` false: stop reading, `end` says why.
  struct Upload {
    std::function<bool(const char*, std::size_t)> piece;
    std::function<HttpReply()> end;
  };
  using UploadHandler = std::function<Upload()>;
  static constexpr std::size_t most_body = 64 * 1024 * 1024;
  static constexpr std::size_t most_threads = 576;  // 256 long polls, 256 answers of models, and a reserve

  HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;
  HttpServer(HttpServer&&) = delete;
  HttpServer& operator=(HttpServer&&) = delete;
  ~HttpServer();

  // `pattern`: a regular expression over the whole path.
  void get(const std::string& pattern, Handler handler);
  void post(const std::string& pattern, Handler handler);
  void put(const std::string& pattern, UploadHandler handler);

  // Pages of these sites ("https://chat.example.org", "http://192.168.1.7:3000") may use the API from a browser (CORS).
  // Before listen().
  void allow_origins(std::vector<std::string> origins);

  // Port 0: any free one. Returns the port.
  Result<int> listen(const std::string& host, int port);
  void serve();  // until stop()
  void stop();

 private:
  struct Library;
  std::unique_ptr<Library> library_;
};

}  // namespace edgefleet::coordinator
