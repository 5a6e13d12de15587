// /api/v1/capabilities
#include "coordinator/views/capabilities.hpp"
#include "coordinator/http/api/handling.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr std::size_t agents_at_once = 256;

struct Counted {
  Capabilities all;
  bool more = false;
};

// In parts, so that the loop does its other work in between.
void count_from(const Parts& parts, const Responder& responder, std::size_t first, Capabilities so_far) {
  responder.after(loop_patience, [responder] { responder.answer(problem(no_answer_in_time())); });
  look<Counted>(
      parts.loop, responder,
      [first, so_far = std::move(so_far)](const State& state, Now) {
        Counted counted{so_far, false};
        counted.more = add_capabilities(counted.all, state, first, agents_at_once);
        return counted;
      },
      [parts, responder, first](Result<Counted> counted) {
        if (!counted) return responder.answer(problem(counted.error()));
        if (!counted->more) return responder.answer(json_reply(200, capabilities_view(counted->all)));
        count_from(parts, responder, first + agents_at_once, std::move(counted->all));
      });
}

}  // namespace

void add_capability_routes(Routes& routes, const Parts& parts) {
  routes.push_back({"GET", "/api/v1/capabilities", "listCapabilities", "What the connected agents offer", "observe",
                    http_server::Handler(
                        [parts](const Request&, const Responder& responder) { count_from(parts, responder, 0, {}); })});
}

}  // namespace edgefleet::coordinator
