// What a caller may submit and name, before anything of its request is stored. The loop judges each task again, with
// the limits that change: Admission.
#pragma once

#include "coordinator/http/parts.hpp"

namespace edgefleet::coordinator {

// Errors: forbidden, with what is missing. Counted as a refusal.
Status may_submit(const Parts& parts, const http_server::Principal& caller, const Capability& capability);

// Knowing its hash grants nothing: a task of the caller names it, or the caller has sent it.
Result<bool> may_read_artifact(const Parts& parts, const http_server::Principal& caller, const std::string& artifact);

Uploader uploader_of(const http_server::Principal& caller);

}  // namespace edgefleet::coordinator
