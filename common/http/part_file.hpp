// A file that appears under its name only when it is complete: written under another name, then renamed.
#pragma once

#include <string>
#include <string_view>

#include "common/core/result.hpp"

namespace edgefleet::http {

class PartFile {
 public:
  static Result<PartFile> create(std::string path);
  PartFile(PartFile&& other) noexcept;
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;
  PartFile& operator=(PartFile&&) = delete;
  ~PartFile();  // removes what was not committed

  Status write(std::string_view bytes);
  Status commit();

 private:
  PartFile(std::string path, std::string part, int descriptor);
  [[nodiscard]] Error failure() const;  // from errno
  std::string path_;
  std::string part_;
  int descriptor_ = -1;
};

}  // namespace edgefleet::http
