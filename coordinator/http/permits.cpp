#include "coordinator/http/permits.hpp"

#include "coordinator/access/permission.hpp"
#include "coordinator/http/caller.hpp"

namespace edgefleet::coordinator {

Status may_submit(const Parts& parts, const http_server::Principal& caller, const Capability& capability) {
  if (parts.closed == nullptr) return success();
  const auto access = parts.closed->accesses().named(caller.name);
  if (!access) return success();  // it has just ended: the loop refuses it
  auto may = may_submit(*access, capability.str());
  if (!may) parts.closed->refusals().note(caller.name, may.error().message);
  return may;
}

Result<bool> may_read_artifact(const Parts& parts, const http_server::Principal& caller, const std::string& artifact) {
  if (!sees_own_only(caller)) return true;
  if (parts.artifacts.uploaded_by(caller.name, artifact)) return true;
  const auto reader = parts.store.reader();
  for (const auto& submitter : {submitter_of(caller), present_submitter_of(caller)}) {
    auto named = reader->artifact_named_by(artifact, submitter);
    if (!named || *named) return named;
  }
  return false;
}

Uploader uploader_of(const http_server::Principal& caller) {
  if (!sees_own_only(caller)) return {};
  return {caller.name, Uploader::Kind::access};
}

}  // namespace edgefleet::coordinator
