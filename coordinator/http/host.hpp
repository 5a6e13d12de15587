// Under which of its names a closed fleet's coordinator was called.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "common/http_server/message.hpp"
#include "coordinator/access/setup_files.hpp"

namespace edgefleet::coordinator {

// Without the port, in lower case; an IPv6 address without its brackets.
std::string host_of(std::string_view authority);
// As it is written in an URL: an IPv6 address has brackets.
std::string in_url(const std::string& name);
// "*:7001": "7001"
std::string port_of_listener(const std::string& listen);
// The name in the request's Host header if it is one of the setup's; otherwise the first of them.
std::string known_host_of(const Setup& setup, const http_server::Request& request);

}  // namespace edgefleet::coordinator
