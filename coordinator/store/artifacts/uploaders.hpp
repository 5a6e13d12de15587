// Who has uploaded which artifact, as empty files DIR/uploads/NAME/sha256-...: whoever has sent a whole file may name
// it in tasks; to know its hash is not enough.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>

#include "common/core/result.hpp"

namespace edgefleet::coordinator {

// Any thread. has() never waits for the disk.
class Uploaders {
 public:
  explicit Uploaders(std::string folder) : folder_(std::move(folder)) {}

  // Reads those of earlier processes, and removes those of artifacts that do not `exist`.
  Status load(const std::function<bool(const std::string& id)>& exist);
  // On the disk when it returns. `name`: of an access.
  Status add(const std::string& name, const std::string& id);
  [[nodiscard]] bool has(const std::string& name, const std::string& id) const;
  // The artifact is gone.
  void forget(const std::string& id);

 private:
  [[nodiscard]] std::string path_of(const std::string& name, const std::string& id) const;

  const std::string folder_;
  mutable std::mutex mutex_;  // held only for moments
  std::map<std::string, std::set<std::string>> names_;  // of an artifact
};

}  // namespace edgefleet::coordinator
