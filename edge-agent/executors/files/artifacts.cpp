#include "edge-agent/executors/files/artifacts.hpp"

#include <algorithm>

#include "common/core/utf8.hpp"

namespace edgefleet::agent {
namespace {

Status copy_edited(std::string& out, std::string_view value, const EditObject& edit);

Status copy_object(std::string& out, const json::Object& object, const EditObject& edit) {
  const auto edits = edit(object);
  if (!edits) return edits.error();
  json::ObjectWriter writer(out);
  for (const auto& [key, member] : object.members()) {
    if (edits->contains(key)) continue;
    if (auto copied = copy_edited(writer.key(key), member, edit); !copied) return copied;
  }
  for (const auto& [key, text] : *edits) {
    if (text) writer.raw(key, *text);
  }
  return success();
}

// Recursion is bounded by json::deepest.
Status copy_edited(std::string& out, std::string_view value, const EditObject& edit) {
  if (const auto object = json::Object::read(value)) return copy_object(out, *object, edit);
  const auto elements = json::elements(value);
  if (!elements) {
    const bool too_many = value.starts_with('[') || value.starts_with('{');
    const bool names =
        value.find("\"artifact\"") != std::string_view::npos || value.find("\"file\"") != std::string_view::npos;
    if (too_many && names) {
      return Error{"files are named in a list or object of more than " + std::to_string(json::most_parts) + " parts",
                   ErrorKind::invalid};
    }
    out += value;
    return success();
  }
  json::ArrayWriter writer(out);
  for (const auto element : *elements) {
    if (auto copied = copy_edited(writer.next(), element, edit); !copied) return copied;
  }
  return success();
}

}  // namespace

Result<std::string> edit_objects(std::string_view value, const EditObject& edit) {
  std::string out;
  if (auto copied = copy_edited(out, value, edit); !copied) return copied.error();
  return out;
}

Result<LaidInput> lay_input(std::string_view input, const std::string& in_dir) {
  LaidInput laid;
  auto edited = edit_objects(input, [&](const json::Object& object) -> Result<MemberEdits> {
    const auto artifact = object.find("artifact");
    const auto id = artifact ? json::as_string(*artifact) : std::nullopt;
    if (!id) {
      if (!object.find("file")) return MemberEdits{};
      return Error{"the input has a \"file\": name files as {\"artifact\":\"sha256-...\"}", ErrorKind::invalid};
    }
    if (!valid_artifact_id(*id))
      return Error{"not the id of an artifact: " + std::string(cut_front(*id, 100)), ErrorKind::invalid};
    laid.artifacts.insert(*id);
    return MemberEdits{{"file", json::quoted(in_dir + '/' + *id)}};
  });
  if (!edited) return edited.error();
  laid.input = std::move(*edited);
  return laid;
}

}  // namespace edgefleet::agent
