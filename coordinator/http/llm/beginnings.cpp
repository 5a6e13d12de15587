#include "coordinator/http/llm/beginnings.hpp"

#include <nlohmann/json.hpp>

#include "coordinator/http/llm/json_text.hpp"

namespace edgefleet::coordinator::llm {
namespace {

// FNV-1a, with an end behind each text so that no two lists of texts run together.
std::uint64_t hash(std::uint64_t so_far, const std::string& text) {
  constexpr std::uint64_t prime = 1099511628211ULL;
  for (const char c : text) so_far = (so_far ^ static_cast<unsigned char>(c)) * prime;
  return (so_far ^ 0xffU) * prime;
}

}  // namespace

std::vector<std::uint64_t> beginnings_of(const nlohmann::json& request) {
  const auto messages = request.find("messages");
  if (messages == request.end() || !messages->is_array()) return {};
  std::uint64_t so_far = 14695981039346656037ULL;
  if (const auto model = request.find("model"); model != request.end()) so_far = hash(so_far, dump(*model));
  std::vector<std::uint64_t> all;
  for (const auto& message : *messages) {
    so_far = hash(so_far, dump(message));
    all.push_back(so_far);
  }
  if (all.size() > most_beginnings) all.erase(all.begin(), all.end() - most_beginnings);
  return all;
}

}  // namespace edgefleet::coordinator::llm
