// The answer of a back end: the first byte selects provider and kind, each line is a piece, the last one a refusal.
#include <array>

#include "common/protocol/json.hpp"
#include "edge-agent/executors/llm/model_name.hpp"
#include "edge-agent/executors/llm/provider.hpp"
#include "edge-agent/executors/llm/pull.hpp"
#include "edge-agent/executors/llm/refusal.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array makers = {llm::make_ollama, llm::make_openai, llm::make_groq, llm::make_gemini};
  if (size == 0) return 0;
  const auto provider = makers.at(data[0] % makers.size())(llm::Config{});
  const auto kind = static_cast<llm::RequestKind>(data[0] / makers.size() % 3);
  std::string streamed;
  llm::Answer answer([&](std::string_view text, bool reasoning) {
    if (!reasoning) streamed += text;
  });
  llm::Listing listing;
  llm::PullProgress pull(data[0]);
  std::string_view rest = text_of(data + 1, size - 1);
  std::string_view line;
  while (!rest.empty()) {
    line = take_line(rest);
    if (!json::well_formed(line)) continue;
    const auto piece = llm::Json::parse(line);
    if (auto error = llm::error_in(piece)) {
      require(!error->code.empty() && error->message.size() <= limits::error_bytes + 100, "an error is bounded");
      answer.fail(std::move(*error));
    }
    provider->decode(kind, piece, answer);
    provider->read_listing(0, piece, listing);
    pull.take(piece);
    require(pull.percent() <= 100 && pull.completed() <= pull.total() && pull.to_come() <= pull.total(), "sums hold");
  }
  const auto output = answer.output(kind);
  require(json::well_formed(output), "an output is JSON");
  if (kind == llm::RequestKind::generate) {
    const auto whole = llm::Json::parse(output)["choices"][0]["text"].get<std::string>();
    require(json::well_formed(json::quoted(streamed)) && whole == streamed, "the streamed text is the output");
  }
  const auto refusal = llm::refusal_of(400 + data[0], line, {});
  require(!refusal.code.empty() && refusal.message.size() <= limits::error_bytes, "a refusal is bounded");
  if (const auto manifest = llm::read_manifest(line)) require(llm::bytes_of(*manifest) >> 60U == 0, "no size wraps");
  if (const auto name = llm::ModelName::parse(line)) {
    const auto again = llm::ModelName::parse(name->listed());
    require(again && again->listed() == name->listed(), "a listed name is a valid name");
  }
  return 0;
}
