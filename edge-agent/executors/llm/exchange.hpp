// One question to a back end and its answer, over HTTP: framing, bounds and timeouts.
#pragma once

#include <stop_token>

#include "edge-agent/executors/llm/provider.hpp"

namespace edgefleet::agent::llm {

struct Patience {
  Duration connect{};
  Duration first_token{};  // from the beginning, connecting included
  Duration token{};        // between two tokens
  Duration in_all{};
};

struct ExchangeReport {
  std::optional<Duration> exhausted_for;  // the provider's limits allow nothing for so long
  Duration first_token{0};                // from the beginning to the first piece of the answer; 0: none came
  Duration whole{0};
};

// Blocks. The answer is in `answer`, complete or with its error, in any case.
ExchangeReport ask(http::Client& client, const Provider& provider, RequestKind kind, const BackendRequest& sent,
                   const std::string& key, const Patience& patience, std::stop_token stop, Answer& answer);

}  // namespace edgefleet::agent::llm
