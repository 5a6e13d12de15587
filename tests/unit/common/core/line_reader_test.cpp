#include "common/core/line_reader.hpp"

#include <vector>

#include "tests/support/catch.hpp"

namespace edgefleet::agent {
namespace {

struct Collected {
  std::vector<std::string> lines;
  [[nodiscard]] LineReader::OnLine take() {
    return [this](std::string_view line) { lines.emplace_back(line); };
  }
};
using Strings = std::vector<std::string>;

TEST_CASE("lines are complete for every division of the bytes into chunks") {
  const std::string all = "one\ntwo\r\n\nthree\n";
  for (std::size_t chunk = 1; chunk <= all.size(); ++chunk) {
    Collected got;
    LineReader reader(100, LineReader::Overlong::drop);
    for (std::size_t at = 0; at < all.size(); at += chunk) reader.feed(all.substr(at, chunk), got.take());
    CHECK(got.lines == Strings{"one", "two", "", "three"});
  }
}

TEST_CASE("an overlong line is dropped up to its newline, and the next one is read") {
  Collected got;
  LineReader reader(5, LineReader::Overlong::drop);
  reader.feed("12345\n123456\n", got.take());
  reader.feed("12345", got.take());
  reader.feed("6789", got.take());
  reader.feed("0\nend\n", got.take());
  CHECK(got.lines == Strings{"12345", "end"});
  CHECK(reader.take_overlong() == 2);
  CHECK(reader.take_overlong() == 0);
}

TEST_CASE("an overlong line can be cut instead") {
  Collected got;
  LineReader reader(5, LineReader::Overlong::cut);
  reader.feed("123", got.take());
  reader.feed("4567\nend\n", got.take());
  CHECK(got.lines == Strings{"12345", "end"});
}

TEST_CASE("a line without an end takes no more memory than the longest line") {
  Collected got;
  LineReader reader(1000, LineReader::Overlong::drop);
  const std::string chunk(777, 'x');
  for (int i = 0; i < 10'000; ++i) {
    reader.feed(chunk, got.take());
    REQUIRE(reader.buffered() <= 1000);
  }
  CHECK(reader.take_overlong() == 1);
  CHECK(got.lines.empty());
}

TEST_CASE("the bytes after the last newline are a line at the end of the stream") {
  Collected got;
  LineReader reader(100, LineReader::Overlong::cut);
  reader.feed("one\nlast", got.take());
  reader.finish(got.take());
  reader.finish(got.take());
  CHECK(got.lines == Strings{"one", "last"});
}

}  // namespace
}  // namespace edgefleet::agent
