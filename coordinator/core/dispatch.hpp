// Placement, and the messages that carry tasks; for the other parts of the core.
#pragma once

#include "coordinator/core/context.hpp"

namespace edgefleet::coordinator {

void on(Context& c, const Place& event);
void resend(Context& c, Agent& agent, const std::vector<AttemptKey>& lost);
void recall_later(Context& c, const Agent& agent);
void on_recall(Context& c, AgentIndex index);  // tasks that have waited there longer than expected
ClassIndex class_for(State& state, const TaskRecord& record);

}  // namespace edgefleet::coordinator
