// One request to a back end and its answer, over HTTP: framing, bounds and timeouts.
#pragma once

#include <stop_token>

#include "edge-agent/executors/llm/provider.hpp"

namespace edgefleet::agent::llm {

struct Patience {
  Duration connect{};
  Duration first_token{};  // from the start, connecting included
  Duration token{};        // between two tokens
  Duration in_all{};
};

struct ExchangeReport {
  std::optional<Duration> exhausted_for;  // how long the provider's limits allow no request
  Duration first_token{0};                // from the start to the first piece of the answer; 0: none was received
  Duration whole{0};
};

// Blocks. On return, `answer` is complete or has an error.
ExchangeReport ask(http::Client& client, const Provider& provider, RequestKind kind, const BackendRequest& sent,
                   const std::string& key, const Patience& patience, std::stop_token stop, Answer& answer);

}  // namespace edgefleet::agent::llm
