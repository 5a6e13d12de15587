// Where Ollama keeps its models, if that is on this machine: how much room there is, and what is there already.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "edge-agent/executors/llm/pull.hpp"

namespace edgefleet::agent::llm {

class ModelsFolder {
 public:
  // `configured`, else $OLLAMA_MODELS, else where Ollama's installers put it; empty if none of these is there.
  static std::string find(const std::string& configured);

  explicit ModelsFolder(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] const std::string& path() const { return path_; }

  // Of its file system; none: it cannot be asked.
  [[nodiscard]] std::optional<std::uint64_t> free_bytes() const;
  // What is still to be written of a model: less the layers, and the parts of layers, that are there. None: we may not
  // look into the folder.
  [[nodiscard]] std::optional<std::uint64_t> missing_bytes(const Manifest& manifest) const;

 private:
  std::string path_;
};

}  // namespace edgefleet::agent::llm
