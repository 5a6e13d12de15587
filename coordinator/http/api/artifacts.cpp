// /api/v1/artifacts
#include "common/protocol/json.hpp"
#include "coordinator/http/api/handling.hpp"

namespace edgefleet::coordinator {
namespace {

Reply stored_reply(Artifacts::Upload& upload, Duration kept_for) {
  auto stored = upload.finish();
  if (!stored) return problem(stored.error());
  std::string body;
  {
    json::ObjectWriter object(body);
    object.string("id", stored->id);
    object.unsigned_integer("bytes", stored->bytes);
    object.integer("kept_ms", to_ms(kept_for));
  }
  return located(stored->is_new ? 201 : 200, body, "/api/v1/artifacts/" + stored->id);
}

http_server::Upload put(Artifacts& artifacts) {
  auto upload = std::shared_ptr<Artifacts::Upload>(artifacts.upload());
  auto failure = std::make_shared<std::optional<Error>>();
  return {[upload, failure](std::string_view piece) {
            auto written = upload->write(piece.data(), piece.size());
            if (!written) *failure = written.error();
            return written.ok();
          },
          [upload, failure, kept_for = artifacts.kept_for()](const Responder& responder) {
            responder.answer(*failure ? problem(**failure) : stored_reply(*upload, kept_for));
          }};
}

void get(Artifacts& artifacts, const Request& request, const Responder& responder) {
  const std::string& id = request.capture("id");
  auto path = artifacts.find(id);
  if (!path) return responder.answer(problem(path.error()));
  Reply reply{200, {}, "application/octet-stream", {}, http_server::File{*path, id}};
  // A browser must never show an uploaded file as a page of this site.
  reply.headers.add("X-Content-Type-Options", "nosniff");
  responder.answer(std::move(reply));
}

}  // namespace

void add_artifact_routes(Routes& routes, const Parts& parts) {
  Artifacts& artifacts = parts.artifacts;
  routes.push_back({"PUT", "/api/v1/artifacts", "putArtifact", "Store a file; its id is its SHA-256", "submit",
                    http_server::UploadHandler([&artifacts](const Request&) { return put(artifacts); })});
  routes.push_back({"GET", "/api/v1/artifacts/{id}", "getArtifact", "A file, or a range of it", "submit",
                    http_server::Handler([&artifacts](const Request& request, const Responder& responder) {
                      get(artifacts, request, responder);
                    })});
}

}  // namespace edgefleet::coordinator
