// Undeliverable results of an agent on its disk, where they survive the agent and a reboot:
// <folder>/results/<task>-<attempt>.json, and the files they name in <folder>/artifacts/<sha256-...>. Nothing is
// written while results can be delivered.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/core/result.hpp"
#include "common/core/task.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/shell/http_artifacts.hpp"

namespace edgefleet::agent {

class ResultSpool {
 public:
  explicit ResultSpool(std::string folder) : folder_(std::move(folder)) {}
  // Results of an earlier run. A file that cannot be read is renamed to *.bad and listed in `complaints`.
  std::vector<TaskResult> load(std::vector<std::string>& complaints) const;
  // On the disk when it returns: all or none. The later of two results of one attempt counts.
  [[nodiscard]] Status keep(const std::vector<TaskResult>& results) const;
  void forget(const AttemptKey& key) const;

 private:
  [[nodiscard]] std::string path_of(const AttemptKey& key) const;
  [[nodiscard]] Status write(const TaskResult& result) const;
  [[nodiscard]] Status publish_all(const std::vector<TaskResult>& results, const std::set<std::string>& paths) const;
  std::string folder_;
};

// Keeps a result whose task the coordinator does not know as a file in `folder` (at most a thousand), for inspection.
// On the disk when it returns. Returns its path.
Result<std::string> keep_for_person(const std::string& folder, const SessionId& session, const TaskResult& result);

// Stores artifacts at the coordinator; while it cannot be reached, on the disk, from where a thread uploads them
// later. The id depends only on the content.
class ArtifactSpool final : public ArtifactStore {
 public:
  struct Bounds {
    std::uint64_t bytes = std::uint64_t{2} << 30U;  // of all files here
    std::uint64_t free_bytes = std::uint64_t{256} << 20U;  // kept free on the disk
  };
  using OnUploaded = std::function<void(std::string artifact)>;
  using OnRefused = std::function<void(std::string artifact, const Error& why)>;

  ArtifactSpool(std::string folder, std::unique_ptr<HttpArtifacts> remote, Bounds bounds);
  ArtifactSpool(const ArtifactSpool&) = delete;
  ArtifactSpool& operator=(const ArtifactSpool&) = delete;
  ArtifactSpool(ArtifactSpool&&) = delete;
  ArtifactSpool& operator=(ArtifactSpool&&) = delete;
  ~ArtifactSpool() override;

  // Starts to upload waiting artifacts. The functions are called from its thread.
  void start(OnUploaded on_uploaded, OnRefused on_refused);
  void stop();  // neither is called after this
  // The waiting artifacts that `output` names.
  [[nodiscard]] std::set<std::string> named_in(const JsonText& output) const;

  Status fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
               std::stop_token stop) override;
  Result<std::string> store(const std::string& path, std::stop_token stop) override;

 private:
  Result<std::string> keep(const std::string& path);
  Result<std::string> copy_and_name(const std::string& path);
  void upload_all(const std::stop_token& stop);

  const std::string folder_;
  const std::unique_ptr<HttpArtifacts> remote_;
  const Bounds bounds_;
  OnUploaded on_uploaded_;
  OnRefused on_refused_;
  log::Complaints complaints_;
  mutable std::mutex mutex_;
  std::condition_variable_any filled_;
  std::set<std::string> waiting_;
  std::uint64_t bytes_ = 0;
  std::jthread uploader_;  // last: it uses the rest
};

}  // namespace edgefleet::agent
