// status: the fleet on a page.
#include <array>
#include <utility>

#include "cli/commands/command.hpp"
#include "cli/core/status_view.hpp"

namespace edgefleet::cli {
namespace {

// Its body says what does not work, whatever the status of the answer is.
Result<std::string> ask_ready(Session& session) {
  auto answer = session.client().get("/ready");
  if (!answer) return answer.error();
  return std::move(answer->body);
}

Exit show(Session& session) {
  std::array<std::string, 3> bodies;
  std::array<Document, 3> documents;
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    auto body = i == 0 ? ask_ready(session) : session.get(i == 1 ? "/api/v1/agents" : "/api/v1/queue");
    if (!body) return session.fail(body.error());
    auto document = read_answer(*body);
    if (!document) return session.fail(document.error());
    bodies[i] = std::move(*body);
    documents[i] = std::move(*document);
  }
  if (session.json()) {
    for (const auto& body : bodies) session.print(body);
  } else {
    session.print(show_status(session.client().base_url(), {documents[0], documents[1], documents[2]}, session.look()));
  }
  return works(documents[0]) ? Exit::ok : Exit::coordinator;
}

}  // namespace

Run declare_status(CLI::App&) {
  return [](Session& session) { return show(session); };
}

}  // namespace edgefleet::cli
