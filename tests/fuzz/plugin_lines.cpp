// The output of a plug-in, line by line: hellos, progress, results, or anything else. Decoded values go into messages
// and logs, so they are UTF-8 and JSON of bounded size.
#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/plugin/broken_line.hpp"
#include "edge-agent/executors/plugin/messages.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::fuzz;

namespace {

bool utf8(std::string_view text) { return valid_utf8(text) == text; }

void check_error(const TaskError& error) {
  require(!error.code.empty() && error.code.size() <= 64 && utf8(error.code), "an error has a code");
  require(utf8(error.message), "an error's message is UTF-8");
}

void check_hello(std::string_view line) {
  const auto hello = parse_hello(line);
  if (!hello) return require(utf8(hello.error().message), "the error of a hello can be logged");
  require(!hello->capabilities.empty() && hello->capabilities.size() <= 64, "a hello names 1 to 64 capabilities");
  require(hello->slots >= 1 && hello->slots <= 256, "a hello has 1 to 256 slots");
  require(hello->version.size() <= 64 && utf8(hello->version), "a version is bounded");
}

void check_result(const PluginResult& result, std::string_view line) {
  require(result.key.attempt >= 1, "a result belongs to an attempt");
  require(json::well_formed(result.output), "an output is JSON");
  if (result.error) check_error(*result.error);
  require(json::well_formed(line) || result.error.has_value(), "a line that is not JSON is not a success");
}

void check_message(std::string_view line) {
  const auto message = parse_plugin_line(line);
  if (!message) return require(utf8(message.error().message), "the error of a line can be logged");
  if (const auto* result = std::get_if<PluginResult>(&*message)) return check_result(*result, line);
  const auto& progress = std::get<PluginProgress>(*message).progress;
  require(progress.percent >= -1 && progress.percent <= 100, "progress is from 0 to 100, or -1");
  require(progress.text.size() <= 4096 && utf8(progress.text), "its text is bounded");
}

void check_broken(std::string_view line) {
  require(utf8(what_is_broken(line)), "the description of a broken line can be logged");
  const auto broken = result_of_broken(line);
  if (!broken) return;
  require(broken->error.has_value(), "a broken result is a failure");
  check_error(*broken->error);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto line = text_of(data, size);
  check_hello(line);
  check_message(line);
  check_broken(line);
  if (json::well_formed(line)) {  // as the input of a task for the plug-in
    const Job job{TaskId{Ulid{1, 2}}, 1, *Capability::parse("work"), std::string(line), std::chrono::seconds(1)};
    const auto sent = task_line(job, job.input, "/scratch");
    require(sent.find('\n') == sent.size() - 1, "a task is one line");
    require(json::well_formed(std::string_view(sent)) || !json::part_is_shallow(line), "a task's line is JSON");
  }
  return 0;
}
