#include "common/http_server/inflate.hpp"

#include <zlib.h>

#include <string>

#include "tests/support/catch.hpp"

using namespace edgefleet::http_server;

namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(compressBound(text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));  // NOLINT: zlib's bytes
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());  // NOLINT: zlib's bytes
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace

TEST_CASE("gzip is inflated however it is cut, and is complete at its end only") {
  const std::string text = "hello hello hello";
  const std::string packed = gzip(text);
  for (std::size_t cut = 0; cut < packed.size(); ++cut) {
    Inflater inflater;
    std::string out;
    const auto take = [&](std::string_view piece) {
      out += piece;
      return true;
    };
    CHECK(inflater.put(packed.substr(0, cut), take) == Inflater::Outcome::more);
    CHECK_FALSE(inflater.complete());
    CHECK(inflater.put(packed.substr(cut), take) == Inflater::Outcome::more);
    CHECK(inflater.complete());
    CHECK(out == text);
  }
}

TEST_CASE("a small body that becomes a large one stops at the bound") {
  const std::string bomb = gzip(std::string(50'000'000, 'x'));
  CHECK(bomb.size() < 100'000);
  Inflater inflater;
  std::size_t got = 0;
  std::size_t largest = 0;
  const auto outcome = inflater.put(bomb, [&](std::string_view piece) {
    got += piece.size();
    largest = std::max(largest, piece.size());
    return got < 1'000'000;
  });
  CHECK(outcome == Inflater::Outcome::refused);
  CHECK(got < 1'100'000);
  CHECK(largest <= 64 * 1024);
}

TEST_CASE("a second member continues the first, anything else behind it is corrupt") {
  Inflater good;
  std::string out;
  const auto take = [&](std::string_view piece) {
    out += piece;
    return true;
  };
  CHECK(good.put(gzip("a") + gzip("b"), take) == Inflater::Outcome::more);
  CHECK(good.complete());
  CHECK(out == "ab");
  Inflater bad;
  CHECK(bad.put(gzip("a") + "garbage behind it", take) == Inflater::Outcome::corrupt);
  Inflater other;
  CHECK(other.put("not gzip at all", take) == Inflater::Outcome::corrupt);
}
