#include "coordinator/http/llm/task/beginnings.hpp"

#include "common/core/fnv.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::coordinator::llm {
namespace {

// Each text is followed by a byte that UTF-8 does not contain, so that different lists of texts hash differently.
std::uint64_t hash(std::uint64_t so_far, std::string_view text) { return fnv1a("\xff", fnv1a(text, so_far)); }

}  // namespace

std::vector<std::uint64_t> beginnings_of(std::string_view request) {
  const auto object = json::Object::read(request).value_or(json::Object{});
  const auto messages =
      json::elements(object.find("messages").value_or("[]")).value_or(std::vector<std::string_view>{});
  std::uint64_t so_far = fnv1a_basis;
  if (const auto model = object.find("model")) so_far = hash(so_far, *model);
  std::vector<std::uint64_t> all;
  for (const std::string_view message : messages) {
    so_far = hash(so_far, message);
    all.push_back(so_far);
  }
  if (all.size() > most_beginnings) all.erase(all.begin(), all.end() - most_beginnings);
  return all;
}

}  // namespace edgefleet::coordinator::llm
