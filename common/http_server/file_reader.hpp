// A file, or a range of it, in pieces. Opening and reading may wait for the disk, so they run on the pool.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/http_server/message.hpp"

namespace edgefleet::http_server {

// The bytes that a `Range` header selects in a file of this size.
struct ByteRange {
  std::uint64_t first = 0;
  std::uint64_t count = 0;
};
enum class RangeKind { whole, part, unsatisfiable };
// Several ranges, or a header that is not a range of bytes, select the whole file.
RangeKind read_range(std::string_view header, std::uint64_t size, ByteRange& range);

class FileReader {
 public:
  static constexpr std::size_t piece_bytes = 128 * 1024;

  explicit FileReader(int descriptor) : descriptor_(descriptor) {}
  FileReader(const FileReader&) = delete;
  FileReader& operator=(const FileReader&) = delete;
  FileReader(FileReader&&) = delete;
  FileReader& operator=(FileReader&&) = delete;
  ~FileReader();

  static std::shared_ptr<FileReader> open(const std::string& path);  // nullptr: it cannot be read
  [[nodiscard]] std::uint64_t size() const { return size_; }
  void select(ByteRange range) { range_ = range; }
  [[nodiscard]] std::uint64_t left() const { return range_.count; }
  // The next piece; empty: the file has become shorter.
  std::string next();

 private:
  int descriptor_;
  std::uint64_t size_ = 0;
  ByteRange range_;
};

}  // namespace edgefleet::http_server
