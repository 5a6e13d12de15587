// The model that a name stands for. Placement, the model endpoints and the agents follow this one rule.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace edgefleet {

namespace detail {

// Ollama's names have a tag, and ":latest" is optional. A colon before the last slash belongs to a port.
inline bool has_tag(std::string_view model) {
  const auto slash = model.rfind('/');
  return model.find(':', slash == std::string_view::npos ? 0 : slash) != std::string_view::npos;
}

inline const std::string* listed_as(const std::vector<std::string>& models, std::string_view name) {
  const auto with_suffix = [&](std::string_view suffix) {
    return std::find_if(models.begin(), models.end(), [&](const std::string& model) {
      return model.size() == name.size() + suffix.size() && model.starts_with(name) && model.ends_with(suffix);
    });
  };
  auto found = with_suffix("");
  if (found == models.end() && !has_tag(name)) found = with_suffix(":latest");
  return found == models.end() ? nullptr : &*found;
}

}  // namespace detail

// The one of `models` that `wanted` names: by its own name, or with the provider as a prefix
// ("groq/llama-3.3-70b-versatile"), with or without ":latest". nullptr: none.
inline const std::string* listed_model(const std::vector<std::string>& models, std::string_view provider,
                                       std::string_view wanted) {
  if (const auto* found = detail::listed_as(models, wanted)) return found;
  const bool prefixed = !provider.empty() && wanted.size() > provider.size() && wanted.starts_with(provider) &&
                        wanted[provider.size()] == '/';
  return prefixed ? detail::listed_as(models, wanted.substr(provider.size() + 1)) : nullptr;
}

}  // namespace edgefleet
