#include "common/http_server/file_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace edgefleet::http_server {
namespace {

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) return std::nullopt;
  if (error == std::errc::result_out_of_range) return std::numeric_limits<std::uint64_t>::max();
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

}  // namespace

RangeKind read_range(std::string_view header, std::uint64_t size, ByteRange& range) {
  constexpr std::string_view unit = "bytes=";
  if (!header.starts_with(unit) || header.find(',') != std::string_view::npos) return RangeKind::whole;
  header.remove_prefix(unit.size());
  const auto dash = header.find('-');
  if (dash == std::string_view::npos) return RangeKind::whole;
  const auto first = number(header.substr(0, dash));
  const auto last = number(header.substr(dash + 1));
  if (!first && dash == 0 && last) {  // the last bytes
    if (*last == 0 || size == 0) return RangeKind::unsatisfiable;
    range.count = std::min(*last, size);
    range.first = size - range.count;
    return RangeKind::part;
  }
  if (!first || (!last && dash + 1 < header.size()) || (last && *last < *first)) return RangeKind::whole;
  if (*first >= size) return RangeKind::unsatisfiable;
  range.first = *first;
  range.count = std::min(last.value_or(size - 1), size - 1) - *first + 1;
  return RangeKind::part;
}

FileReader::~FileReader() { ::close(descriptor_); }

std::shared_ptr<FileReader> FileReader::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return nullptr;
  auto reader = std::make_shared<FileReader>(descriptor);
  struct stat status{};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) return nullptr;
  reader->size_ = static_cast<std::uint64_t>(status.st_size);
  return reader;
}

std::string FileReader::next() {
  std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(range_.count, piece_bytes)), '\0');
  const ssize_t got = pread(descriptor_, piece.data(), piece.size(), static_cast<off_t>(range_.first));
  piece.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  range_.first += piece.size();
  range_.count -= piece.size();
  return piece;
}

}  // namespace edgefleet::http_server
