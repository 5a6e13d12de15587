// The folder of Ollama's models, if it is on this machine: its free space, and the layers that it already has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "edge-agent/executors/llm/pull.hpp"

namespace edgefleet::agent::llm {

class ModelsFolder {
 public:
  // `configured`, else $OLLAMA_MODELS, else the folder of Ollama's installers; empty if none of these exists.
  static std::string find(const std::string& configured);

  explicit ModelsFolder(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] const std::string& path() const { return path_; }

  // Of its file system; none: unknown.
  [[nodiscard]] std::optional<std::uint64_t> free_bytes() const;
  // The bytes of a model that are still to be written, without the layers, and parts of layers, that exist. None: no
  // permission to read the folder.
  [[nodiscard]] std::optional<std::uint64_t> missing_bytes(const Manifest& manifest) const;

 private:
  std::string path_;
};

}  // namespace edgefleet::agent::llm
