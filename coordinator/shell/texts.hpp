// The inputs and outputs of tasks that are too large for a message, as artifacts. Each call waits for the disk.
#pragma once

#include <string>
#include <string_view>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "coordinator/core/records.hpp"
#include "coordinator/store/artifacts/artifacts.hpp"

namespace edgefleet::coordinator {

// Stores a JSON text, and leases it and the artifacts that it names, as far as there are artifacts of these names: any
// text may have such a key. Error kind too_large: it names too many.
Result<TextFile> keep_text(Artifacts& artifacts, std::string_view text, const Uploader& who = {});

// The text: well-formed JSON of the size that `file` tells, nested at most as deeply as a message allows.
Result<JsonText> read_text(const Artifacts& artifacts, const TextFile& file);

bool has_large_input(const TaskSpec& spec);
// Makes a file of such an input; another one stays as it is.
Status keep_large_input(Artifacts& artifacts, TaskSpec& spec, const Uploader& who);
// Puts an output that is a file into the record.
Status load_output(const Artifacts& artifacts, TaskRecord& record);

}  // namespace edgefleet::coordinator
