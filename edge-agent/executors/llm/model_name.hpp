// Names of models in Ollama's form, [HOST/][NAMESPACE/]NAME[:TAG], and the default model of a machine. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::agent::llm {

struct ModelName {
  static Result<ModelName> parse(std::string_view text);

  std::string host;  // empty: Ollama's own registry
  std::string name_space;
  std::string name;
  std::string tag;

  [[nodiscard]] std::string listed() const;  // the form of Ollama's list: "tinyllama:latest", "hf.co/user/name:Q4"
  [[nodiscard]] std::string manifest_path() const;  // at a registry: "/v2/library/tinyllama/manifests/latest"
};

// In a list of models to pull: the one below.
inline constexpr std::string_view by_memory = "by-memory";

// The largest suitable model for this amount of memory; none: no useful model fits.
std::optional<std::string_view> model_for_memory(std::uint64_t bytes);

}  // namespace edgefleet::agent::llm
