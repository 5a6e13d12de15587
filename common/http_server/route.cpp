#include "common/http_server/route.hpp"

#include <algorithm>

namespace edgefleet::http_server {
namespace {

std::vector<std::string_view> segments_of(std::string_view path) {
  std::vector<std::string_view> segments;
  while (path.starts_with('/')) {
    path.remove_prefix(1);
    const auto end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return segments;
}

bool is_capture(std::string_view segment) { return segment.starts_with('{') && segment.ends_with('}'); }
bool is_rest(std::string_view segment) { return is_capture(segment) && segment.ends_with("...}"); }

std::string_view name_of(std::string_view segment) {
  return segment.substr(1, segment.size() - (is_rest(segment) ? 5 : 2));
}

// False: a segment cannot be decoded.
bool read_captures(const Route& route, const std::vector<std::string_view>& segments,
                   std::map<std::string, std::string, std::less<>>& captures) {
  const auto pattern = segments_of(route.pattern);
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (!is_capture(pattern[i])) continue;
    std::string raw(segments[i]);
    for (std::size_t next = i + 1; is_rest(pattern[i]) && next < segments.size(); ++next) {
      raw.append("/").append(segments[next]);
    }
    auto decoded = percent_decode(raw, false);
    if (!decoded) return false;
    captures.emplace(name_of(pattern[i]), std::move(*decoded));
  }
  return true;
}

}  // namespace

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    Node* node = &root_;
    for (const auto segment : segments_of(routes_[i].pattern)) {
      auto& next = is_rest(segment)      ? node->rest
                   : is_capture(segment) ? node->capture
                                         : node->literals[std::string(segment)];
      if (!next) next = std::make_unique<Node>();
      node = next.get();
    }
    node->routes.push_back(i);
  }
}

// Compares decoded text: "%68ealth" is "health".
const Router::Node* Router::literal(const Node& node, std::string_view segment) {
  const auto decoded = percent_decode(segment, false);
  const auto found = decoded ? node.literals.find(*decoded) : node.literals.end();
  return found == node.literals.end() ? nullptr : found->second.get();
}

const Router::Node* Router::descend(const Node& node, const std::vector<std::string_view>& segments,
                                    std::size_t at) const {
  if (at == segments.size()) return node.routes.empty() ? nullptr : &node;
  if (const Node* next = literal(node, segments[at])) {
    if (const Node* found = descend(*next, segments, at + 1)) return found;
  }
  if (node.capture && !segments[at].empty()) {
    if (const Node* found = descend(*node.capture, segments, at + 1)) return found;
  }
  return node.rest.get();
}

Router::Match Router::find(std::string_view method, std::string_view path) const {
  Match match;
  const auto segments = segments_of(path);
  const Node* node = descend(root_, segments, 0);
  if (node == nullptr) return match;
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  for (const std::size_t index : node->routes) {
    const Route& route = routes_[index];
    match.allow += (match.allow.empty() ? "" : ", ") + (route.method == "GET" ? "GET, HEAD" : route.method);
    if (route.method == wanted) match.route = &route;
  }
  match.allow += ", OPTIONS";
  if (match.route != nullptr) match.broken = !read_captures(*match.route, segments, match.captures);
  return match;
}

}  // namespace edgefleet::http_server
