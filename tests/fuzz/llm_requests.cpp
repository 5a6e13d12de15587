// A request to the coordinator's endpoints and on an agent, for every endpoint and provider. The first byte selects
// both.
#include <array>

#include "common/protocol/json.hpp"
#include "coordinator/http/llm/dialects/openai.hpp"
#include "edge-agent/executors/llm/provider.hpp"
#include "edge-agent/executors/llm/request.hpp"
#include "edge-agent/executors/llm/slices.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::fuzz;

namespace {

llm::Config config_of(const char* provider) {
  llm::Settings settings;
  settings.provider = provider;
  settings.url = "http://127.0.0.1:1";
  settings.models = {"m"};
  settings.api_key_env = "KEY";
  return *llm::Config::check(settings);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array configs = {config_of("ollama"), config_of("openai"), config_of("groq"), config_of("gemini")};
  if (size == 0) return 0;
  const auto& config = configs.at(data[0] % configs.size());
  const auto at = data[0] / configs.size() % 3;
  const std::string text(text_of(data + 1, size - 1));
  std::string input = text;
  static const std::array dialects = {&coordinator::llm::chat_completions, &coordinator::llm::completions,
                                      &coordinator::llm::embeddings};
  if (const auto asked = dialects.at(at)->read(text)) {
    const auto& question = asked->question;
    require(!question.model.empty(), "a question names its model");
    require(!question.tasks.empty(), "a question has a task");
    input = question.input;
    for (const auto& [name, value] : question.tasks.back()) {
      input = json::with(json::Object::read(input).value_or(json::Object{}), name, value);
    }
    require(json::well_formed(input), "the input of the task is JSON");
  }
  if (!json::well_formed(input) || !json::part_is_shallow(input)) return 0;  // no task has such an input
  const auto kind = static_cast<llm::RequestKind>(at);
  const auto request = llm::check_request(kind, config.provider, input);
  if (!request) {
    require(!request.error().message.empty(), "the error is reported");
    return 0;
  }
  require(json::well_formed(*request), "a checked request is JSON");
  (void)llm::call_ids_of(*request);
  const auto call = llm::make_provider(config)->encode(kind, *request);
  if (!call) return 0;
  require(json::well_formed(call->body), "the body for a back end is JSON");
  const bool passes = config.provider == llm::ProviderKind::openai && kind == llm::RequestKind::chat;
  const llm::Members sent(call->body);
  require(!passes || sent.at("messages") == llm::Members(input).at("messages"), "messages are passed byte for byte");
  require(call->path.starts_with('/') && call->path.find_first_of(" \r\n#") == std::string::npos, "the path is valid");
  return 0;
}
