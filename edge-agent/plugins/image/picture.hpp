// One request from file to file: the only place where pictures that nobody vouches for are decoded. To be called in a
// process that may die of it (worker.hpp).
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include <nlohmann/json.hpp>

#include "edge-agent/plugins/image/protocol.hpp"
#include "edge-agent/plugins/image/request.hpp"

namespace edgefleet::image {

// Once a process, before anything else here: starts libvips and leaves it only the loaders that we accept.
Status start_vips(const char* program);

// The share of the work done, 0 to 99, and what is going on. Called often, from threads of libvips, one at a time.
using OnProgress = std::function<void(int percent, std::string_view text)>;

// Writes below <scratch>/out and gives the task's output. Throws nothing.
std::variant<nlohmann::json, Failure> process(const Request& request, const Limits& limits,
                                              const OnProgress& on_progress);

}  // namespace edgefleet::image
