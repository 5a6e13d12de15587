// Artifacts at the coordinator, over its HTTP API.
#pragma once

#include <string>

#include "common/http/client.hpp"
#include "edge-agent/executors/port.hpp"

namespace edgefleet::agent {

class HttpArtifacts final : public ArtifactStore {
 public:
  explicit HttpArtifacts(std::string coordinator) : coordinator_(std::move(coordinator)), client_(coordinator_) {}

  Status fetch(const std::string& artifact, const std::string& to_path, std::stop_token stop) override;
  Result<std::string> store(const std::string& path, std::stop_token stop) override;

 private:
  std::string coordinator_;
  http::Client client_;
};

}  // namespace edgefleet::agent
