// Artifacts as tasks name them: objects with a key `artifact`, at any depth of an input or output. Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "common/core/artifact_id.hpp"
#include "common/core/result.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::agent {

// A copy of `value` (well-formed JSON) in which members of objects are set, or removed (no text). All other text,
// including numbers, is unchanged.
using MemberEdits = std::map<std::string, std::optional<std::string>>;
using EditObject = std::function<Result<MemberEdits>(const json::Object&)>;
Result<std::string> edit_objects(std::string_view value, const EditObject& edit);

struct LaidInput {
  std::string input;                 // with "file" added to each object that names an artifact
  std::set<std::string> artifacts;   // to be placed at <in_dir>/<id>
};
// `file` is reserved for the agent. An input must not contain it: otherwise a submitter could name any file of the
// device to a plug-in that trusts it.
Result<LaidInput> lay_input(std::string_view input, const std::string& in_dir);

}  // namespace edgefleet::agent
