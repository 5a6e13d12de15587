// Ollama's API for its models, and the registry of models, over HTTP.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>

#include "common/http/client.hpp"
#include "edge-agent/executors/llm/model_name.hpp"
#include "edge-agent/executors/llm/provider.hpp"
#include "edge-agent/executors/llm/pull.hpp"

namespace edgefleet::agent::llm {

class OllamaModels {
 public:
  explicit OllamaModels(const Config& config);

  struct Limits {
    Duration timeout{};
    std::stop_token stop;
  };
  using Failure = std::optional<TaskError>;  // none: success

  // Blocks until the model is present. `on_progress` is called for each line, and ten times a second while there is
  // none; an error that it returns ends the download.
  Failure pull(const ModelName& model, PullProgress& progress, const Limits& limits,
               const std::function<Failure(const PullProgress&)>& on_progress);
  Failure remove(const ModelName& model, const Limits& limits);
  // `keep_alive`: null for the configured one, or Ollama's.
  Failure load(const ModelName& model, const Json& keep_alive, const Limits& limits);
  Failure list(Listing& listing, const Limits& limits);

  // The layers of the model according to the registry; an error has the reason why they are unknown.
  Result<Manifest> manifest(const ModelName& model, const std::stop_token& stop);

 private:
  class Clock;
  class Download;
  [[nodiscard]] http::Options options_for(const Limits& limits, Clock& clock) const;
  Failure call(const http::Request& request, const Limits& limits, Json& answer);
  [[nodiscard]] Result<http::Headers> headers() const;

  const Config config_;
  const std::unique_ptr<Provider> provider_;
  http::Client ollama_;
  http::Client registry_;
};

}  // namespace edgefleet::agent::llm
