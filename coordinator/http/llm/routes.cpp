#include "coordinator/http/llm/routes.hpp"

#include "coordinator/http/ask.hpp"
#include "coordinator/http/body_bounds.hpp"
#include "coordinator/http/caller.hpp"
#include "coordinator/http/llm/dialects/openai.hpp"
#include "coordinator/http/llm/task/answering.hpp"

namespace edgefleet::coordinator::llm {
namespace {

using http_server::Handler;
using http_server::Request;
using http_server::Responder;
using CatalogueRef = std::shared_ptr<const Catalogue>;

Handler answered_in(const Dialect& dialect, const Parts& parts, const CatalogueRef& catalogue) {
  return [&dialect, parts, catalogue](const Request& request, const Responder& responder) {
    auto place = std::make_shared<BoundedPlace>(parts.waiting, std::string(client_of(request.principal.name)));
    if (place->refusal()) {
      return responder.answer(dialect.refuse(failure_of(Error{place->refusal()->message, ErrorKind::busy})));
    }
    auto asked = dialect.read(request.body);
    if (!asked) return responder.answer(dialect.refuse(failure_of(asked.error())));
    std::make_shared<Answering>(parts, catalogue, dialect, std::move(*asked), request.principal, responder,
                                std::move(place), request.share)
        ->start();
  };
}

std::size_t body_of(const Dialect& dialect, const Parts& parts) {
  return body_around(dialect.most_input_bytes(parts.max_task_bytes));
}

Handler listed(const CatalogueRef& catalogue) {
  return [catalogue](const Request&, const Responder& responder) {
    catalogue->offered(responder, [responder](const Result<std::vector<Offered>>& all) {
      responder.answer(all ? json_reply(200, openai::models_view(*all)) : openai_reply(failure_of(all.error())));
    });
  };
}

Handler found(const CatalogueRef& catalogue) {
  return [catalogue](const Request& request, const Responder& responder) {
    catalogue->find(responder, request.capture("model"), [responder](const Result<Offered>& one) {
      responder.answer(one ? json_reply(200, openai::model_view(*one)) : openai_reply(failure_of(one.error())));
    });
  };
}

}  // namespace

void add_llm_routes(Routes& routes, const Parts& parts, Aliases aliases) {
  const auto catalogue = std::make_shared<const Catalogue>(parts.loop, std::move(aliases));
  for (const std::string root : {"/v1", "/openai/v1"}) {
    const std::string suffix = root == "/v1" ? "" : "Alternative";  // names of operations are unique
    // clang-format off
    routes.push_back({"GET", root + "/models", "listModels" + suffix, "The models of the fleet", "chat", listed(catalogue)});
    routes.push_back({"GET", root + "/models/{model...}", "getModel" + suffix, "One model", "chat", found(catalogue)});
    routes.push_back({"POST", root + chat_completions.path, "chatCompletions" + suffix, "Chat (OpenAI)", "chat", answered_in(chat_completions, parts, catalogue), false, false, body_of(chat_completions, parts)});
    routes.push_back({"POST", root + completions.path, "completions" + suffix, "Complete a text (OpenAI)", "chat", answered_in(completions, parts, catalogue), false, false, body_of(completions, parts)});
    routes.push_back({"POST", root + embeddings.path, "embeddings" + suffix, "Embeddings (OpenAI)", "chat", answered_in(embeddings, parts, catalogue), false, false, body_of(embeddings, parts)});
    // clang-format on
  }
}

}  // namespace edgefleet::coordinator::llm
