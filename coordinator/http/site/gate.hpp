// Checks each request before its body is read: pages of other sites may not use the fleet through a user's browser.
#pragma once

#include <string>
#include <vector>

#include "common/http_server/site.hpp"

namespace edgefleet::coordinator {

// `origins`: sites whose pages are allowed ("https://chat.example.org", "http://192.168.1.7:3000"; CORS).
http_server::Verdict judge(const http_server::Request& head, const http_server::Route* route,
                           const std::vector<std::string>& origins);

}  // namespace edgefleet::coordinator
