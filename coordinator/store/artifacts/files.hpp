// Artifacts as files: listing, hashing, linking and copying. Their use: artifacts.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

// artifacts/ab/sha256-ab...
std::string artifact_path(const std::string& folder, const std::string& id);

// Moves a complete, synchronised file to the path of its artifact, and creates its folder. After a success it is there
// even if the power fails.
Status keep_durably(const std::string& from, const std::string& to);

// Calls `use` for each file of an artifact folder whose name is an artifact id, and `strange` for the other files. A
// missing folder counts as empty.
Status for_each_artifact(const std::string& folder,
                         const std::function<void(const std::string& id, std::uint64_t bytes)>& use,
                         const std::function<void(const std::string& path)>& strange = {});

// The id of the content of a file.
Result<std::string> artifact_id_of(const std::string& path);

struct Taken {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};
// Adds every artifact of one folder to another one: a hard link if both are on one file system (a file that is named by
// its content never changes), otherwise a copy. Existing files are kept.
Result<Taken> take_artifacts(const std::string& from, const std::string& to, const Tell& tell);

}  // namespace edgefleet::coordinator
