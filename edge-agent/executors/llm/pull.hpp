// Messages of Ollama and a registry about a download, and whether this machine has space for the model. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/core/task.hpp"
#include "edge-agent/executors/llm/json_value.hpp"
#include "edge-agent/executors/llm/model_name.hpp"

namespace edgefleet::agent::llm {

// A file of a model. Ollama stores it as <models>/blobs/<digest>, with ':' replaced by '-'.
struct Layer {
  std::string digest;
  std::uint64_t bytes = 0;
};
using Manifest = std::vector<Layer>;

// An OCI manifest (github.com/opencontainers/image-spec); none if it is not one with layers.
std::optional<Manifest> read_manifest(std::string_view body);
std::uint64_t bytes_of(const Manifest& manifest);

// The lines of POST /api/pull.
class PullProgress {
 public:
  // `expected_bytes`: of all layers; 0: unknown.
  explicit PullProgress(std::uint64_t expected_bytes = 0) : expected_(expected_bytes) {}

  void take(const Json& piece);

  [[nodiscard]] const std::string& status() const { return status_; }  // Ollama's text, truncated
  [[nodiscard]] std::uint64_t completed() const;
  [[nodiscard]] std::uint64_t total() const;    // 0: not known
  [[nodiscard]] std::uint64_t to_come() const;  // of the layers reported so far
  [[nodiscard]] std::size_t layers() const { return layers_.size(); }
  [[nodiscard]] int percent() const;  // -1: not known
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] const std::optional<TaskError>& error() const { return error_; }

 private:
  struct Part {
    std::uint64_t completed = 0;
    std::uint64_t total = 0;
  };
  std::uint64_t expected_;
  std::string status_;
  std::map<std::string, Part> layers_;
  bool complete_ = false;
  std::optional<TaskError> error_;
};

// The agent would connect to a host of its task's choice, also inside its own network, and keep what it gets.
std::optional<TaskError> check_host(const ModelName& model, const std::vector<std::string>& allowed);

// Converts Ollama's error about a model. It concerns this agent only: trying another agent does not help.
TaskError model_error(int status, std::string_view body, std::optional<Duration> retry_after = {});
TaskError model_error(const std::string& message);  // a line of a stream under status 200

// Kept free on the disk for other files.
inline constexpr std::uint64_t storage_reserve = std::uint64_t{512} << 20U;
// In addition to the model itself: a small context, Ollama, the system.
inline constexpr std::uint64_t memory_reserve = std::uint64_t{512} << 20U;

// `bytes`: still to be written to `folder`.
std::optional<TaskError> check_storage(const std::string& model, std::uint64_t bytes, std::uint64_t free_bytes,
                                       const std::string& folder);
std::optional<TaskError> check_memory(const std::string& model, std::uint64_t bytes, std::uint64_t memory_bytes);

std::string show_size(std::uint64_t bytes);  // "776 MB", "3.8 GB": decimal, like Ollama and its library

}  // namespace edgefleet::agent::llm
