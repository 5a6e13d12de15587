// The files that results name, their large outputs included: uploaded to the coordinator, and kept in a folder until
// their results are acknowledged (<sha256-...>.uploaded). While the coordinator cannot be reached, they wait there
// (<sha256-...>), and a thread uploads them later. The id depends only on the content.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/core/time.hpp"
#include "edge-agent/executors/port.hpp"
#include "edge-agent/shell/http_artifacts.hpp"
#include "edge-agent/shell/text_store.hpp"

namespace edgefleet::agent {

class ArtifactSpool final : public ArtifactStore, public TextStore {
 public:
  struct Bounds {
    std::uint64_t bytes = std::uint64_t{2} << 30U;  // of all files here
    std::uint64_t free_bytes = std::uint64_t{256} << 20U;  // kept free on the disk
    // The coordinator keeps an uploaded file at least this long: one that no result names is not needed for longer.
    Duration unnamed = std::chrono::hours(1);
  };
  using OnUploaded = std::function<void(std::string artifact)>;
  using OnRefused = std::function<void(std::string artifact, const Error& why)>;

  // Takes over the files of an earlier run.
  ArtifactSpool(std::string folder, std::unique_ptr<HttpArtifacts> remote, Bounds bounds);
  ArtifactSpool(const ArtifactSpool&) = delete;
  ArtifactSpool& operator=(const ArtifactSpool&) = delete;
  ArtifactSpool(ArtifactSpool&&) = delete;
  ArtifactSpool& operator=(ArtifactSpool&&) = delete;
  ~ArtifactSpool() override;

  // Starts to upload waiting files, after those of an earlier run that no result names were removed. The functions are
  // called from its thread.
  void start(OnUploaded on_uploaded, OnRefused on_refused);
  void stop();  // neither is called after this

  // ---- a result that names files, until it is acknowledged
  // Keeps its files; returns those that still wait for their upload.
  std::set<std::string> hold(const std::set<std::string>& artifacts);
  void release(const std::set<std::string>& artifacts);
  // Another name for a file that is here. False: it is not, or there is no space to keep it for longer.
  bool link_to(const std::string& artifact, const std::string& path);
  // The coordinator does not have them: returns those that will be uploaded again, because they are here.
  std::set<std::string> upload_again(const std::vector<std::string>& artifacts);

  // ---- any thread; blocking
  Status fetch(const std::string& artifact, const std::string& to_path, std::uint64_t most_bytes,
               std::stop_token stop) override;
  Result<std::string> store(const std::string& path, std::stop_token stop) override;
  Result<std::string> fetch_text(const TextFile& file, std::stop_token stop) override;
  Result<std::string> store_text(const std::string& text, std::stop_token stop) override;

 private:
  struct File {
    std::uint64_t bytes = 0;
    bool waits = true;  // for its upload
    int holds = 0;  // by results
    bool needed = true;  // no result has released it
    Time since;  // when it came here, or was uploaded
  };
  using Files = std::map<std::string, File>;
  // A complete file under another name, whose bytes are reserved.
  struct Copy {
    std::string path;
    std::string artifact;
    std::uint64_t bytes = 0;
  };

  Status reserve(std::uint64_t bytes);
  void unreserve(std::uint64_t bytes);
  Result<Copy> copy(const std::string& path);
  Result<Copy> write_copy(const std::string& text);
  void drop(const Copy& copy);
  Result<std::string> store_later(const Copy& copy);
  void keep_uploaded(const Copy& copy);
  void link_uploaded(const std::string& path, const std::string& artifact);
  void add(const std::string& artifact, std::uint64_t bytes, bool waits);

  // ---- the mutex is held
  void remove(Files::iterator file);
  void remove_unneeded();
  [[nodiscard]] std::string path_of(const std::string& artifact, bool waits) const;

  void upload_all(const std::stop_token& stop);
  [[nodiscard]] std::string next_upload(int failures, const std::stop_token& stop);  // empty: none now
  void uploaded(const std::string& artifact);

  const std::string folder_;
  const std::unique_ptr<HttpArtifacts> remote_;
  const Bounds bounds_;
  OnUploaded on_uploaded_;
  OnRefused on_refused_;
  log::Complaints complaints_;
  std::mutex mutex_;
  std::condition_variable_any filled_;
  Files files_;
  std::uint64_t bytes_ = 0;
  std::jthread uploader_;  // last: it uses the rest
};

}  // namespace edgefleet::agent
