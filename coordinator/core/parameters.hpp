// Fetches the descriptions of inputs that agents name.
#pragma once

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {

void on(Context& c, const ParametersSeen& event);
// Asks the agent for those that it names and nobody has told yet. For an agent that follows us.
void ask_for_parameters(Context& c, const Agent& agent);

}  // namespace edgefleet::coordinator
