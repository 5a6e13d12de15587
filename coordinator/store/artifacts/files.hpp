// Artifacts as files: found, hashed, linked or copied. What they are for: artifacts.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/core/result.hpp"
#include "coordinator/store/data/directory.hpp"

namespace edgefleet::coordinator {

// artifacts/ab/sha256-ab...
std::string artifact_path(const std::string& folder, const std::string& id);

// Every file of an artifact folder whose name is an artifact's id; `strange` gets the other files. None if there is no
// such folder.
Status for_each_artifact(const std::string& folder,
                         const std::function<void(const std::string& id, std::uint64_t bytes)>& use,
                         const std::function<void(const std::string& path)>& strange = {});

// The id that the content of a file has.
Result<std::string> artifact_id_of(const std::string& path);

struct Taken {
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};
// Every artifact of one folder into another one: a hard link where both lie on one file system (a file that is named by
// its content never changes), a copy elsewhere. What is there already stays.
Result<Taken> take_artifacts(const std::string& from, const std::string& to, const Tell& tell);

}  // namespace edgefleet::coordinator
