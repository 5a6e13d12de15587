#include "coordinator/http/llm/task/beginnings.hpp"

#include <nlohmann/json.hpp>

#include "common/core/fnv.hpp"
#include "coordinator/http/llm/dialects/json_text.hpp"

namespace edgefleet::coordinator::llm {
namespace {

// Each text is followed by a byte that UTF-8 does not contain, so that different lists of texts hash differently.
std::uint64_t hash(std::uint64_t so_far, const std::string& text) { return fnv1a("\xff", fnv1a(text, so_far)); }

}  // namespace

std::vector<std::uint64_t> beginnings_of(const nlohmann::json& request) {
  const auto messages = request.find("messages");
  if (messages == request.end() || !messages->is_array()) return {};
  std::uint64_t so_far = fnv1a_basis;
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
