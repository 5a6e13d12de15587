// OpenAI's API on the coordinator: each request is a task of the fleet underneath.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "coordinator/http/server.hpp"
#include "coordinator/shell/loop.hpp"

namespace edgefleet::coordinator::openai {

// "fast" -> the models to be tried, one after another.
using Aliases = std::map<std::string, std::vector<std::string>>;

// Adds /v1/models, /v1/chat/completions, /v1/completions, /v1/embeddings, and the same below /openai.
void add_door(HttpServer& server, Loop& loop, Store& store, StreamHub& hub, Aliases aliases);

}  // namespace edgefleet::coordinator::openai
