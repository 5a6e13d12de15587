#include "coordinator/http/site/unknown_endpoint.hpp"

#include "common/core/nearest.hpp"

namespace edgefleet::coordinator {
namespace {

using http_server::Route;
using http_server::Router;

const Router& routes_of_others() {
  static const Router router([] {
    std::vector<Route> routes;
    for (const Replaced& one : replaced_routes) {
      routes.push_back(
          {std::string(one.method), std::string(one.path), std::string(one.ours), {}, {}, http_server::Handler{}});
    }
    return routes;
  }());
  return router;
}

std::string without_last_slash(const std::string& path) {
  return path.size() > 1 && path.ends_with('/') ? path.substr(0, path.size() - 1) : path;
}

}  // namespace

std::string explain_unknown(const std::string& method, const std::string& path, const std::vector<Route>& routes) {
  const std::string wanted = without_last_slash(path.substr(0, 200));
  const std::string unknown = "no such endpoint: " + method.substr(0, 16) + " " + path.substr(0, 200);
  if (const auto match = routes_of_others().find(method, wanted); match.route != nullptr) {
    const std::string& ours = match.route->name;
    if (ours.starts_with("MQTT ")) {
      return unknown + "; agents publish on the MQTT topic " + ours.substr(5) + " instead (docs/coming-from.md)";
    }
    return unknown + "; the equivalent here is " + ours + " (docs/coming-from.md)";
  }
  std::vector<std::string> patterns;
  for (const Route& route : routes) patterns.push_back(route.pattern);
  if (const auto near = nearest(wanted, patterns)) return unknown + "; did you mean " + *near + "?";
  return unknown + "; docs/http-api.md lists the endpoints";
}

}  // namespace edgefleet::coordinator
