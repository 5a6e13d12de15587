// Language model servers and their users, on simulated time, under the real core of a coordinator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/core/time.hpp"

namespace edgefleet::simulation {

// One agent each, with one slot, whose server holds one model at a time and remembers one prompt: what Ollama does on a
// Pi. The default speeds are those of a model of 1.5 thousand million parameters on a Pi 4, rounded (docs/llm.md).
struct Servers {
  int agents = 2;
  std::vector<std::string> models;
  Duration load = std::chrono::seconds(20);
  double prompt_rate = 10;  // tokens per second
  double answer_rate = 3;  // tokens per second
};

// A user asks, reads the answer, and asks again.
struct Talk {
  Duration begins{0};
  std::string model;
  int turns = 1;
  int question_tokens = 30;
  int answer_tokens = 60;
  Duration pause{0};  // between an answer and the next question
};

enum class Placing {
  least_busy,
  ours
};  // least_busy: agents do not report loaded models, and requests do not identify their conversation

struct Figures {
  int answers = 0;
  int loads = 0;
  std::int64_t prompt_tokens = 0;  // of all requests
  std::int64_t read_tokens = 0;  // those that a server did not have in memory
  Duration mean_wait{0};  // from the question to the first token
  Duration longest_wait{0};
  Duration whole{0};  // until the last answer
};

Figures simulate(const Servers& servers, const std::vector<Talk>& talks, Placing placing);

}  // namespace edgefleet::simulation
