// Files that a plug-in's output names as {"file":"out/..."} become artifacts.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "edge-agent/executors/files/scratch.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

// The output with "artifact", "name" and "bytes" in place of each "file". Error kind invalid: the plug-in named a
// path that is not a regular file below its out/.
Result<std::string> store_output_files(std::string_view output, const Scratch& scratch, const FileLimits& limits,
                                       ArtifactStore& store, const std::stop_token& stop);

}  // namespace edgefleet::agent
