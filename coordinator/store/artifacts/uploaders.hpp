// Who has uploaded which artifact: whoever has sent a whole file may name it in tasks (to know its hash is not enough),
// and its bytes count against its share. Those of accesses are empty files DIR/uploads/NAME/sha256-..., those of agents
// are known until the coordinator ends.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

// Any thread. has() never waits for the disk.
class Uploaders {
 public:
  explicit Uploaders(std::string folder) : folder_(std::move(folder)) {}

  // The size of an artifact; none: it does not exist.
  using SizeOf = std::function<std::optional<std::uint64_t>(const std::string& id)>;
  // Reads those of earlier processes, and removes those of artifacts that do not exist.
  Status load(const SizeOf& size_of);
  // On the disk when it returns. `name`: of an access.
  Status add(const std::string& name, const std::string& id, std::uint64_t bytes);
  void note(const std::string& name, const std::string& id, std::uint64_t bytes);  // of an agent
  [[nodiscard]] bool has(const std::string& name, const std::string& id) const;
  [[nodiscard]] std::uint64_t bytes_of(const std::string& name) const;
  // The artifact is gone.
  void forget(const std::string& id);

 private:
  [[nodiscard]] std::string path_of(const std::string& name, const std::string& id) const;

  const std::string folder_;
  mutable std::mutex mutex_;  // held only for moments
  struct Artifact {
    std::uint64_t bytes = 0;
    std::set<std::string> names;
  };
  std::map<std::string, Artifact> artifacts_;
  std::map<std::string, std::uint64_t> bytes_;  // of a name
};

}  // namespace edgefleet::coordinator
