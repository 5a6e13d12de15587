// One request from file to file: the only place where untrusted pictures are decoded. To be called in a process that
// may crash (worker.hpp).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

#include "edge-agent/plugins/image/protocol.hpp"
#include "edge-agent/plugins/image/request.hpp"

namespace edgefleet::image {

// Once per process, before anything else here: starts libvips and disables all loaders except the accepted ones.
Status start_vips(const char* program);

// The completed share of the work, 0 to 99, and a description. Called often, from threads of libvips, one at a time.
using OnProgress = std::function<void(int percent, std::string_view text)>;

// Writes below <scratch>/out and returns the task's output. Never throws.
std::variant<nlohmann::json, Failure> process(const Request& request, const Limits& limits,
                                              const OnProgress& on_progress);

}  // namespace edgefleet::image
