#include "edge-agent/executors/llm/model_name.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "common/core/utf8.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::size_t longest = 255;
constexpr std::string_view own_registry = "registry.ollama.ai";
constexpr std::string_view own_namespace = "library";

bool plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.'; }

bool good_part(std::string_view part) {
  return !part.empty() && part.front() != '.' && part.front() != '-' && std::all_of(part.begin(), part.end(), plain);
}

bool good_host(std::string_view host) {
  const auto colon = host.find(':');
  if (colon == std::string_view::npos) return good_part(host);
  const auto port = host.substr(colon + 1);
  return good_part(host.substr(0, colon)) && !port.empty() &&
         port.find_first_not_of("0123456789") == std::string_view::npos;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto slash = text.find('/');
    parts.push_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    text.remove_prefix(slash + 1);
  }
}

struct Choice {
  std::uint64_t least_bytes;
  std::string_view model;
};
// Boards with 8, 4 and 2 GB report a little less memory than that. The smallest model is not deepseek-coder:1.3b:
// each token of its context takes seven times the memory.
constexpr std::array<Choice, 3> choices = {{{6'000'000'000, "deepseek-coder:6.7b"},
                                            {3'000'000'000, "deepseek-coder:1.3b"},
                                            {1'700'000'000, "deepseek-r1:1.5b"}}};

}  // namespace

Result<ModelName> ModelName::parse(std::string_view text) {
  const Error wrong{"\"" + std::string(cut_front(text, 100)) +
                        "\" is not the name of a model: NAME[:TAG], NAMESPACE/NAME[:TAG] or HOST/NAMESPACE/NAME[:TAG]",
                    ErrorKind::invalid};
  if (text.size() > longest) return wrong;
  auto parts = split(text);
  if (parts.size() > 3) return wrong;
  ModelName made;
  const auto colon = parts.back().find(':');
  made.name = parts.back().substr(0, colon);
  made.tag = colon == std::string_view::npos ? "latest" : parts.back().substr(colon + 1);
  made.name_space = parts.size() > 1 ? parts[parts.size() - 2] : own_namespace;
  if (parts.size() == 3 && parts.front() != own_registry) made.host = parts.front();
  const bool host_good = parts.size() < 3 || good_host(parts.front());
  if (!host_good || !good_part(made.name) || !good_part(made.tag) || !good_part(made.name_space)) return wrong;
  if (made.listed().size() > longest) return wrong;  // the tag that is there by default counts too
  return made;
}

std::string ModelName::listed() const {
  const std::string itself = name + ":" + tag;
  if (!host.empty()) return host + "/" + name_space + "/" + itself;
  return name_space == own_namespace ? itself : name_space + "/" + itself;
}

std::string ModelName::manifest_path() const { return "/v2/" + name_space + "/" + name + "/manifests/" + tag; }

std::optional<std::string_view> model_for_memory(std::uint64_t bytes) {
  for (const auto& choice : choices) {
    if (bytes >= choice.least_bytes) return choice.model;
  }
  return std::nullopt;
}

}  // namespace edgefleet::agent::llm
