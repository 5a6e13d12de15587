// Names of models as Ollama reads them, [HOST/][NAMESPACE/]NAME[:TAG], and the one to take where none is named. Pure.
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

  [[nodiscard]] std::string listed() const;  // as Ollama's list has it: "tinyllama:latest", "hf.co/user/name:Q4"
  [[nodiscard]] std::string manifest_path() const;  // at a registry: "/v2/library/tinyllama/manifests/latest"
};

// In a list of models to pull: the one below.
inline constexpr std::string_view by_memory = "by-memory";

// What a machine with so much memory can run beside its system; none: nothing that is worth it.
std::optional<std::string_view> model_for_memory(std::uint64_t bytes);

}  // namespace edgefleet::agent::llm
