// capabilities
#include "cli/commands/capabilities.hpp"

#include <memory>
#include <string>

#include "cli/commands/command.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/capabilities.hpp"

namespace edgefleet::cli {
namespace {

constexpr const char* path = "/api/v1/capabilities";

Exit show_one(const std::string& name, Session& session) {
  const auto body = session.get(path);
  if (!body) return session.fail(body.error());
  const auto answer = read_answer(*body);
  if (!answer) return session.fail(answer.error());
  if (const auto nobody = if_nobody_offers(*answer, name); !nobody.empty()) {
    return session.fail(nobody, Exit::coordinator);
  }
  session.print(session.json() ? *body : show_capability(*answer, name, session.look()));
  return Exit::ok;
}

}  // namespace

void note_if_nobody_offers(Session& session, const std::string& capability) {
  const auto body = session.get(path);
  const auto answer = body ? read_answer(*body) : Result<Document>(body.error());
  if (!answer) return;  // an older coordinator: the answer to the submit has the reason
  if (const auto nobody = if_nobody_offers(*answer, capability); !nobody.empty()) session.note(nobody);
}

Run declare_capabilities(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option_function<std::string>(
         "NAME", [name](const std::string& text) { *name = checked("NAME", parse_capability(text)).str(); },
         "only this capability")
      ->type_name("");
  return [name](Session& session) {
    return name->empty() ? present(session, session.get(path), show_capabilities) : show_one(*name, session);
  };
}

}  // namespace edgefleet::cli
