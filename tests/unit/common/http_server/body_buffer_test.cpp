#include "common/http_server/body_buffer.hpp"

#include <rapidcheck.h>

#include "tests/support/catch.hpp"

using namespace edgefleet::http_server;

namespace {

constexpr std::size_t block = BodyBuffer::block_bytes;

BodyBuffer filled(const std::vector<std::string>& pieces) {
  BodyBuffer buffer;
  for (const std::string& piece : pieces) buffer.append(piece);
  return buffer;
}

}  // namespace

TEST_CASE("a body is the pieces that were appended, whatever their sizes are") {
  CHECK(rc::check([](const std::vector<unsigned short>& sizes) {
    std::vector<std::string> pieces;
    std::string expected;
    for (const auto size : sizes) {
      pieces.emplace_back(std::size_t{size} * 8, static_cast<char>('a' + pieces.size() % 26));
      expected += pieces.back();
    }
    BodyBuffer buffer = filled(pieces);
    RC_ASSERT(buffer.size() == expected.size());
    RC_ASSERT(buffer.whole() == expected);
    RC_ASSERT(buffer.size() == 0U);
    RC_ASSERT(buffer.whole().empty());
  }));
  for (const std::size_t size : {block - 1, block, block + 1, 3 * block}) {
    CHECK(filled({std::string(size, 'x')}).whole() == std::string(size, 'x'));
  }
}

TEST_CASE("blocks are passed on in order, until they are not wanted") {
  BodyBuffer buffer = filled({std::string(block, 'a') + std::string(block, 'b') + "c"});
  std::string firsts;
  buffer.pass_on([&](const std::string& one) {
    CHECK(one.size() <= block);
    firsts += one.front();
    return firsts.size() < 2;
  });
  CHECK(firsts == "ab");
  CHECK(buffer.size() == 0);
  buffer.append("again");
  CHECK(buffer.whole() == "again");
}
