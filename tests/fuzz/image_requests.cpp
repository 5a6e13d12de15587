// The input of the image plug-in: a line of the agent, and the request in it.
#include <cmath>

#include "edge-agent/plugins/image/protocol.hpp"
#include "edge-agent/plugins/image/request.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;
using namespace edgefleet::image;

namespace {

void check_stem(const std::string& stem) {
  require(!stem.empty() && stem.size() <= 64 && stem.front() != '.', "a file's name is bounded and visible");
  for (const char c : stem) {
    const bool harmless =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
    require(harmless, "a file's name is harmless");
  }
}

void check_step(const Step& step) {
  require(step.filter != nullptr && step.values.size() == step.filter->parameters.size(), "a step has all its values");
  std::size_t i = 0;
  for (const auto& parameter : step.filter->parameters) {
    const auto value = step.values[i++];
    if (!value) continue;
    const bool within = parameter.choices.empty()
                            ? *value >= parameter.low && *value <= parameter.high
                            : *value >= 0 && *value < static_cast<double>(parameter.choices.size());
    require(within, "a value is within its range");
    require(!parameter.whole || *value == std::floor(*value), "a whole number has no fraction");
  }
}

void check_request(const Request& request) {
  check_stem(request.stem);
  require(request.steps.size() <= kMostFilters, "a chain is bounded");
  for (const auto& step : request.steps) check_step(step);
  require(request.quality >= 1 && request.quality <= 100, "a quality is within its range");
  if (const auto* inlined = std::get_if<InlineSource>(&request.source)) {
    require(!inlined->bytes.empty() && inlined->bytes.size() <= kMostInline, "an inline picture is bounded");
  } else {
    const auto& path = std::get<FileSource>(request.source).path;
    require(path.find("..") == std::string::npos || path.starts_with('/'), "a file's path is absolute or below");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto line = text_of(data, size);
  const auto message = parse_message(line);
  const auto* task = std::get_if<Task>(&message);
  if (task == nullptr) return 0;
  require(!task->key.id.empty() && task->key.attempt >= 0, "a task belongs to an attempt");
  const auto request = parse_request(task->capability, task->input, task->scratch);
  if (request) {
    check_request(*request);
  } else {
    const auto answer = failure_line(task->key, {"bad_input", request.error().message, false});
    require(answer.find('\n') == answer.size() - 1, "an answer is one line");
  }
  return 0;
}
