// The routes of a server as a table: routing, access, metrics and the OpenAPI document read it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/http_server/message.hpp"
#include "common/http_server/responder.hpp"

namespace edgefleet::http_server {

inline constexpr std::size_t most_body = 64 * 1024 * 1024;   // of any route
inline constexpr std::size_t small_body = 1024 * 1024;       // of a route that says nothing else

// Runs on the pool when the body is complete. It answers, or keeps the responder and answers later.
using Handler = std::function<void(Request request, Responder responder)>;

// Takes a body piece by piece instead, on the pool. If `piece` returns false, the rest is not read, and `end` answers
// the reason. `end` is called only for a complete body, or for one that `piece` refused.
struct Upload {
  std::function<bool(std::string_view)> piece;
  std::function<void(Responder)> end;
};
using UploadHandler = std::function<Upload(const Request& head)>;

struct Route {
  std::string method;  // GET also answers HEAD
  std::string pattern;  // "/api/v1/tasks/{id}"; a last segment "{name...}" takes all that follows
  std::string name;  // of the operation: "getTask"
  std::string summary;  // one line for people
  std::string role;  // the role that a principal needs; empty: none
  std::variant<Handler, UploadHandler> handler;
  bool quick = false;  // the handler never waits, and runs on the server's own thread
  bool needs_certificate = false;  // a verified client certificate
  std::size_t body_limit = small_body;  // at most most_body

  [[nodiscard]] bool takes_body() const { return method != "GET" && method != "DELETE"; }
};

// For a handler that returns its whole answer at once.
template <typename Answer>
Handler answer_with(Answer answer) {
  return [answer = std::move(answer)](const Request& request, const Responder& responder) {
    responder.answer(answer(request));
  };
}

// Finds the route of a request. A literal segment is preferred to a capture, a capture to the rest of the path.
class Router {
 public:
  explicit Router(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;  // nullptr: the path has no route, or none with this method
    std::map<std::string, std::string, std::less<>> captures;
    std::string allow;  // methods of this path, as the header Allow lists them; empty: no such path
    bool broken = false;  // a segment that cannot be decoded
  };
  [[nodiscard]] Match find(std::string_view method, std::string_view path) const;
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Node {
    std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
    std::unique_ptr<Node> capture;
    std::unique_ptr<Node> rest;
    std::vector<std::size_t> routes;  // routes that end here
  };
  [[nodiscard]] static const Node* literal(const Node& node, std::string_view segment);
  [[nodiscard]] const Node* descend(const Node& node, const std::vector<std::string_view>& segments,
                                    std::size_t at) const;

  std::vector<Route> routes_;
  Node root_;
};

}  // namespace edgefleet::http_server
