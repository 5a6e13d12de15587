// Lines from a stream of bytes, in pieces of any size. The first byte is the size of a piece.
#include "common/core/line_reader.hpp"

#include <string>
#include <vector>

#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::fuzz;

namespace {

constexpr std::size_t longest = 24;

struct Read {
  std::vector<std::string> lines;
  std::size_t overlong = 0;
  bool operator==(const Read&) const = default;
};

Read read(std::string_view bytes, std::size_t piece, LineReader::Overlong overlong) {
  Read all;
  LineReader reader(longest, overlong);
  const auto on_line = [&](std::string_view line) { all.lines.emplace_back(line); };
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    reader.feed(bytes.substr(at, piece), on_line);
    require(reader.buffered() <= longest, "the buffer is not longer than a line may be");
  }
  reader.finish(on_line);
  all.overlong = reader.take_overlong();
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto bytes = text_of(data + 1, size - 1);
  const std::size_t piece = 1 + std::size_t{*data} % 32;
  for (const auto overlong : {LineReader::Overlong::drop, LineReader::Overlong::cut}) {
    const auto at_once = read(bytes, bytes.size(), overlong);
    require(read(bytes, piece, overlong) == at_once, "the lines do not depend on the pieces");
    for (const auto& line : at_once.lines) {
      require(line.size() <= longest && line.find('\n') == std::string::npos, "a line is one line, and bounded");
    }
  }
  return 0;
}
