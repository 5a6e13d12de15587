// Looks whether the files that results name are there, before the results are taken: a file that was uploaded long
// before its result arrives may have been removed. Only on the loop's thread.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "common/protocol/codec.hpp"
#include "coordinator/store/artifacts/artifacts.hpp"

namespace edgefleet::coordinator {

class ResultFiles {
 public:
  static constexpr int most_asked = 3;  // times for one attempt; its agent repeats the result every 10 s
  static constexpr std::size_t most_attempts = 4096;  // remembered

  explicit ResultFiles(Artifacts& artifacts) : artifacts_(artifacts) {}

  // Leases the files of the results that stay. Removes those whose files must be uploaded again, and returns these
  // files. A result whose agent was asked in vain stays: as a failure if its output is missing. `counts`: the result
  // may become an outcome.
  std::vector<protocol::AttemptRef> take_incomplete(std::vector<TaskResult>& results,
                                                    const std::function<bool(const AttemptKey&)>& counts);

 private:
  [[nodiscard]] std::vector<std::string> missing_of(const TaskResult& result) const;
  bool may_ask(const AttemptKey& key);

  Artifacts& artifacts_;
  std::map<AttemptKey, int> asked_;
};

}  // namespace edgefleet::coordinator
