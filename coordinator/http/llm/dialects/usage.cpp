#include "coordinator/http/llm/dialects/usage.hpp"

#include <array>

#include "coordinator/http/llm/dialects/json_text.hpp"

namespace edgefleet::coordinator::llm {
namespace {

// Times and rates have no sum.
constexpr std::array summed = {"/prompt_tokens",
                               "/completion_tokens",
                               "/total_tokens",
                               "/prompt_tokens_details/cached_tokens",
                               "/completion_tokens_details/reasoning_tokens",
                               "/cost_usd"};

void add(Json& sum, const Json& more) {
  for (const char* path : summed) {
    const Json::json_pointer at(path);
    if (!more.contains(at) || !more[at].is_number()) continue;
    if (!sum.contains(at)) {
      sum[at] = more[at];
    } else if (more[at].is_number_integer() && sum[at].is_number_integer()) {
      sum[at] = sum[at].get<std::uint64_t>() + more[at].get<std::uint64_t>();
    } else {
      sum[at] = sum[at].get<double>() + more[at].get<double>();
    }
  }
}

}  // namespace

JsonText UsageSum::sum() const {
  Json sum = Json::object();
  for (const JsonText& part : parts_) {
    const Json usage = Json::parse(part, nullptr, false);
    if (!usage.is_object()) return {};
    if (parts_.size() == 1) return part;
    add(sum, usage);
  }
  return dump(sum);
}

}  // namespace edgefleet::coordinator::llm
