// /api/v1/artifacts
#include <algorithm>

#include "common/protocol/json.hpp"
#include "coordinator/core/fleet.hpp"
#include "coordinator/http/api/handling.hpp"
#include "coordinator/http/permits.hpp"

namespace edgefleet::coordinator {
namespace {

// Who sees only its own files is not told whether somebody else had stored this one.
Reply stored_reply(Artifacts::Upload& upload, Duration kept_for, bool tell_new) {
  auto stored = upload.finish();
  if (!stored) return problem(stored.error());
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("id", stored->id);
    object.unsigned_integer("bytes", stored->bytes);
    object.integer("kept_ms", to_ms(kept_for));
  }
  return located(stored->is_new || !tell_new ? 201 : 200, body, "/api/v1/artifacts/" + stored->id);
}

http_server::Upload put(Artifacts& artifacts, const Request& head, const Uploader& who) {
  auto upload = std::shared_ptr<Artifacts::Upload>(artifacts.upload(who));
  auto failure = std::make_shared<std::optional<Error>>();
  return {[upload, failure](std::string_view piece) {
            auto written = upload->write(piece.data(), piece.size());
            if (!written) *failure = written.error();
            return written.ok();
          },
          [upload, failure, kept_for = artifacts.kept_for(),
           tell_new = !sees_own_only(head.principal)](const Responder& responder) {
            responder.answer(*failure ? problem(**failure) : stored_reply(*upload, kept_for, tell_new));
          }};
}

void send(Artifacts& artifacts, const std::string& id, const Responder& responder) {
  auto path = artifacts.find(id);
  if (!path) return responder.answer(problem(path.error()));
  Reply reply{200, {}, "application/octet-stream", {}, http_server::File{*path, id}};
  // A browser must never show an uploaded file as a page of this site.
  reply.headers.add("X-Content-Type-Options", "nosniff");
  responder.answer(std::move(reply));
}

void get(const Parts& parts, const Request& request, const Responder& responder) {
  const std::string& id = request.capture("id");
  const auto allowed = may_read_artifact(parts, request.principal, id);
  if (!allowed) return responder.answer(problem(allowed.error()));
  if (!*allowed) {
    return responder.answer(problem(Error{
        "none of your tasks names artifact " + id.substr(0, 100) + ", or it is not stored", ErrorKind::not_found}));
  }
  send(parts.artifacts, id, responder);
}

std::vector<TaskId> held_by(const State& state, const std::string& name) {
  std::vector<TaskId> held;
  const auto parsed = AgentName::parse(name);
  const Agent* const agent = parsed ? agent_by_name(state, *parsed) : nullptr;
  if (agent == nullptr) return held;
  for (const auto& [id, attempt] : agent->attempts) held.push_back(id);
  return held;
}

void get_for_agent(const Parts& parts, const Request& request, const Responder& responder) {
  look<std::vector<TaskId>>(
      parts.loop, responder, [name = request.principal.name](const State& state, Now) { return held_by(state, name); },
      [parts, responder, id = request.capture("id")](const Result<std::vector<TaskId>>& held) {
        if (!held) return responder.answer(problem(held.error()));
        const auto named = parts.store.reader()->artifact_named_in(id, *held);
        if (!named) return responder.answer(problem(named.error()));
        if (*named) return send(parts.artifacts, id, responder);
        responder.answer(
            problem(Error{"no task that this agent holds names artifact " + id.substr(0, 100) + ", or it is not stored",
                          ErrorKind::not_found}));
      });
}

}  // namespace

void add_agents_artifact_routes(Routes& routes, const Parts& parts, const std::string& role) {
  Artifacts& artifacts = parts.artifacts;
  routes.push_back({"PUT", "/api/v1/artifacts", "putArtifact", "Store a file; its id is its SHA-256", role,
                    http_server::UploadHandler([&artifacts](const Request& head) {
                      return put(artifacts, head, {head.principal.name, Uploader::Kind::agent});
                    })});
  routes.push_back({"GET", "/api/v1/artifacts/{id}", "getArtifact", "A file of a task that this agent holds", role,
                    http_server::Handler([parts](const Request& request, const Responder& responder) {
                      get_for_agent(parts, request, responder);
                    })});
}

void add_artifact_routes(Routes& routes, const Parts& parts) {
  Artifacts& artifacts = parts.artifacts;
  routes.push_back({"PUT", "/api/v1/artifacts", "putArtifact", "Store a file; its id is its SHA-256", "submit",
                    http_server::UploadHandler([&artifacts](const Request& head) {
                      return put(artifacts, head, uploader_of(head.principal));
                    })});
  routes.push_back({"GET", "/api/v1/artifacts/{id}", "getArtifact", "A file, or a range of it", "submit",
                    http_server::Handler([parts](const Request& request, const Responder& responder) {
                      get(parts, request, responder);
                    })});
}

}  // namespace edgefleet::coordinator
