#include "edge-agent/executors/llm/provider.hpp"

#include <array>

namespace edgefleet::agent::llm {

std::unique_ptr<Provider> make_provider(const Config& config) {
  constexpr std::array makers = {make_ollama, make_openai, make_groq, make_gemini};  // in the order of ProviderKind
  return makers.at(static_cast<std::size_t>(config.provider))(config);
}

}  // namespace edgefleet::agent::llm
