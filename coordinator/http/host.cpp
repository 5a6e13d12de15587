#include "coordinator/http/host.hpp"

#include <cctype>

namespace edgefleet::coordinator {

std::string host_of(std::string_view authority) {
  std::string_view host = authority.substr(0, authority.find(':'));
  if (authority.starts_with('[')) host = authority.substr(1, authority.find(']') - 1);
  std::string lower(host);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string in_url(const std::string& name) { return name.find(':') == std::string::npos ? name : '[' + name + ']'; }

std::string port_of_listener(const std::string& listen) { return listen.substr(listen.rfind(':') + 1); }

std::string known_host_of(const Setup& setup, const http_server::Request& request) {
  const std::string host = host_of(request.header("Host"));
  const auto names = with_local_names(setup.names);
  return std::ranges::find(names, host) != names.end() ? host : setup.names.front();
}

}  // namespace edgefleet::coordinator
