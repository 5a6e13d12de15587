#include "edge-agent/executors/llm/pull.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/llm/refusal.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::size_t most_layers = 1000;
constexpr std::size_t most_status_bytes = 200;
constexpr std::uint64_t largest = std::uint64_t{1} << 50U;  // of one layer: sums of untrusted numbers must not overflow

struct Meaning {
  std::string_view words;
  const char* code;
  bool retryable;
};
// Ollama's messages (server/images.go, server/download.go, and errors of the system in them).
constexpr std::array<Meaning, 6> meanings = {{
    {"file does not exist", "model_not_found", false},  // of the registry's manifest
    {"no space left on device", "insufficient_storage", false},
    {"disk quota exceeded", "insufficient_storage", false},
    {"requires more system memory", "insufficient_memory", false},
    {"newer version of Ollama", "backend_too_old", false},
    {"invalid model", "invalid_input", false},
}};

const Meaning* meaning_of(std::string_view message) {
  const auto* found = std::find_if(meanings.begin(), meanings.end(),
                                   [&](const Meaning& m) { return message.find(m.words) != std::string_view::npos; });
  return found == meanings.end() ? nullptr : found;
}

std::uint64_t size_at(const Json& object, const char* key) {
  return std::min(static_cast<std::uint64_t>(count_at(object, key).value_or(0)), largest);
}

bool good_digest(const std::string& digest) {
  constexpr std::string_view head = "sha256:";
  return digest.size() == head.size() + 64 && digest.starts_with(head) &&
         digest.find_first_not_of("0123456789abcdef", head.size()) == std::string::npos;
}

}  // namespace

std::optional<Manifest> read_manifest(std::string_view body) {
  if (!json::well_formed(body)) return std::nullopt;
  const Json json = Json::parse(body, nullptr, false);
  const Json& layers = at(json, "layers");
  if (!layers.is_array() || layers.empty() || layers.size() > most_layers) return std::nullopt;
  Manifest manifest;
  const auto add = [&](const Json& layer) {
    Layer one{text_at(layer, "digest"), size_at(layer, "size")};
    if (good_digest(one.digest)) manifest.push_back(std::move(one));
  };
  for (const Json& layer : layers) add(layer);
  add(at(json, "config"));
  if (manifest.empty()) return std::nullopt;
  return manifest;
}

std::uint64_t bytes_of(const Manifest& manifest) {
  std::uint64_t sum = 0;
  for (const auto& layer : manifest) sum += layer.bytes;
  return sum;
}

void PullProgress::take(const Json& piece) {
  if (const Json& error = at(piece, "error"); !error.is_null()) {
    if (!error_) error_ = model_error(error.is_string() ? error.get<std::string>() : error.dump());
    return;
  }
  if (auto status = text_at(piece, "status"); !status.empty()) {
    status_ = std::string(cut_front(status, most_status_bytes));
  }
  complete_ = complete_ || status_ == "success";
  const auto digest = text_at(piece, "digest");
  const auto total = size_at(piece, "total");
  if (digest.empty() || total == 0) return;
  if (layers_.size() >= most_layers && layers_.count(digest) == 0) return;
  layers_[digest] = {std::min(size_at(piece, "completed"), total), total};
}

std::uint64_t PullProgress::completed() const {
  std::uint64_t sum = 0;
  for (const auto& [digest, part] : layers_) sum += part.completed;
  return sum;
}

std::uint64_t PullProgress::total() const {
  std::uint64_t sum = 0;
  for (const auto& [digest, part] : layers_) sum += part.total;
  return std::max(sum, expected_);
}

std::uint64_t PullProgress::to_come() const {
  std::uint64_t sum = 0;
  for (const auto& [digest, part] : layers_) sum += part.total - part.completed;
  return sum;
}

int PullProgress::percent() const {
  const auto all = total();
  if (all == 0) return -1;
  return static_cast<int>(static_cast<double>(completed()) * 100 /
                          static_cast<double>(all));  // rounded down: 100 means complete
}

std::optional<TaskError> check_host(const ModelName& model, const std::vector<std::string>& allowed) {
  if (model.host.empty() || std::count(allowed.begin(), allowed.end(), model.host) > 0) return std::nullopt;
  return TaskError{"not_allowed",
                   "this agent does not pull models from " + std::string(cut_front(model.host, 100)) +
                       ": its owner can add the host to `pull_hosts` of its [[llm]]",
                   false,
                   {}};
}

TaskError model_error(int status, std::string_view body, std::optional<Duration> retry_after) {
  auto error = refusal_of(status, body, retry_after);
  if (error.code == "model_not_found") error.retryable = false;
  if (const auto* meaning = meaning_of(error.message)) {
    error.code = meaning->code;
    error.retryable = meaning->retryable;
  }
  return error;
}

TaskError model_error(const std::string& message) {
  TaskError error{"backend_unavailable", "Ollama reports: " + message, true, {}};
  error.message = std::string(cut_front(error.message, limits::error_bytes));
  if (const auto* meaning = meaning_of(message)) {
    error.code = meaning->code;
    error.retryable = meaning->retryable;
  }
  return error;
}

std::optional<TaskError> check_storage(const std::string& model, std::uint64_t bytes, std::uint64_t free_bytes,
                                       const std::string& folder) {
  if (bytes == 0 || bytes + storage_reserve <= free_bytes) return std::nullopt;
  return TaskError{"insufficient_storage",
                   model + " needs " + show_size(bytes) + " more on the disk, including " + show_size(storage_reserve) +
                       " to be kept free; " + folder + " has " + show_size(free_bytes) +
                       " free: remove a model, or free disk space",
                   false,
                   {}};
}

std::optional<TaskError> check_memory(const std::string& model, std::uint64_t bytes, std::uint64_t memory_bytes) {
  if (memory_bytes == 0 || bytes + memory_reserve <= memory_bytes) return std::nullopt;
  return TaskError{"insufficient_memory",
                   model + " is " + show_size(bytes) + " in size and needs " + show_size(bytes + memory_reserve) +
                       " of memory, including the rest of the system; this machine has " + show_size(memory_bytes) +
                       ": use a smaller one, or set \"force\": true",
                   false,
                   {}};
}

std::string show_size(std::uint64_t bytes) {
  const double mega = static_cast<double>(bytes) / 1e6;
  std::array<char, 48> text{};
  const int length = mega < 999.5 ? std::snprintf(text.data(), text.size(), mega < 9.95 ? "%.1f MB" : "%.0f MB", mega)
                                  : std::snprintf(text.data(), text.size(), "%.1f GB", mega / 1000);
  return {text.data(), static_cast<std::size_t>(length)};
}

}  // namespace edgefleet::agent::llm
