// The message for an unknown path: it names the equivalent route, or the nearest path.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "common/http_server/route.hpp"

namespace edgefleet::coordinator {

// A route of another system and its equivalent here: a route, or "MQTT topic" if agents publish instead.
// docs/coming-from.md shows this table.
struct Replaced {
  std::string_view method;
  std::string_view path;
  std::string_view ours;
};
inline constexpr std::array replaced_routes = {
    Replaced{"GET", "/api/workers/list", "GET /api/v1/agents"},
    Replaced{"GET", "/api/workers/stats", "GET /api/v1/agents"},
    Replaced{"GET", "/api/workers/status", "GET /api/v1/agents"},
    Replaced{"POST", "/api/workers/register", "MQTT agents/{agent}/info"},
    Replaced{"POST", "/api/workers/unregister", "MQTT agents/{agent}/status"},
    Replaced{"POST", "/api/workers/{id}/unregister", "MQTT agents/{agent}/status"},
    Replaced{"POST", "/api/workers/{id}/heartbeat", "MQTT agents/{agent}/heartbeat"},
    Replaced{"GET", "/api/workers/{id}/tasks", "MQTT tasks/{capability}/{agent}"},
    Replaced{"POST", "/api/workers/results", "MQTT results/{agent}"},
    Replaced{"POST", "/api/tasks/{id}/result", "MQTT results/{agent}"},
    Replaced{"POST", "/api/tasks/submit", "POST /api/v1/tasks"},
    Replaced{"GET", "/api/tasks/queue", "GET /api/v1/queue"},
    Replaced{"GET", "/api/tasks/status/{id}", "GET /api/v1/tasks/{id}"},
    Replaced{"GET", "/api/tasks/{id}", "GET /api/v1/tasks/{id}"},
    Replaced{"GET", "/api/task/{id}/status", "GET /api/v1/tasks/{id}"},
    Replaced{"GET", "/api/stats", "GET /api/v1/queue"},
    Replaced{"GET", "/api/health", "GET /health"},
    Replaced{"GET", "/api/server/status", "GET /ready"},
    Replaced{"POST", "/api/process-batch/sequential", "POST /api/v1/batches"},
    Replaced{"POST", "/api/process-batch/threading", "POST /api/v1/batches"},
    Replaced{"POST", "/api/process-batch/multiprocessing", "POST /api/v1/batches"},
    Replaced{"POST", "/api/process-batch/distributed", "POST /api/v1/batches"},
    Replaced{"POST", "/api/process-batch/compare", "POST /api/v1/batches"},
    Replaced{"POST", "/api/process-batch/compare-all", "POST /api/v1/batches"},
    Replaced{"POST", "/api/process-batch/stress", "POST /api/v1/batches"},
    Replaced{"GET", "/api/v1/workers", "GET /api/v1/agents"},
    Replaced{"GET", "/api/v1/workers/{id}", "GET /api/v1/agents/{name}"},
    Replaced{"POST", "/api/v1/workers/register", "MQTT agents/{agent}/info"},
    Replaced{"POST", "/api/v1/workers/{id}/drain", "POST /api/v1/agents/{name}/drain"},
    Replaced{"POST", "/api/v1/workers/{id}/heartbeat", "MQTT agents/{agent}/heartbeat"},
    Replaced{"POST", "/api/v1/jobs", "POST /api/v1/tasks"},
    Replaced{"GET", "/api/v1/jobs", "GET /api/v1/tasks"},
    Replaced{"GET", "/api/v1/jobs/{id}", "GET /api/v1/tasks/{id}"},
    Replaced{"POST", "/api/v1/jobs/{id}/cancel", "POST /api/v1/tasks/{id}/cancel"},
    Replaced{"POST", "/api/v1/jobs/{id}/retry", "POST /api/v1/tasks/{id}/retry"},
    Replaced{"DELETE", "/api/v1/jobs/{id}", "POST /api/v1/tasks/{id}/cancel"},
    Replaced{"POST", "/llm/generate", "POST /v1/completions"},
    Replaced{"POST", "/chat", "POST /v1/chat/completions"},
};

std::string explain_unknown(const std::string& method, const std::string& path,
                            const std::vector<http_server::Route>& routes);

}  // namespace edgefleet::coordinator
