#include "coordinator/shell/texts.hpp"

#include <filesystem>
#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;

namespace {

struct Place {
  test::TemporaryFolder folder;
  std::unique_ptr<Artifacts> artifacts = std::move(*Artifacts::open(folder.path(), {}));

  std::string put(const std::string& content) const {
    const auto upload = artifacts->upload();
    REQUIRE(upload->write(content.data(), content.size()));
    return upload->finish()->id;
  }
};

}  // namespace

TEST_CASE("a text is kept as a file, with the artifacts that it names") {
  const Place place;
  const auto named = place.put("a picture");
  const std::string text =
      R"({"picture":{"artifact":")" + named + R"("},"text":")" + std::string(3'000'000, 'x') + "\"}";
  const auto file = keep_text(*place.artifacts, text);
  REQUIRE(file);
  CHECK(file->bytes == text.size());
  CHECK(file->artifacts == std::vector<std::string>{named});
  const auto back = read_text(*place.artifacts, *file);
  REQUIRE(back);
  CHECK(*back == text);
  CHECK(keep_text(*place.artifacts, text)->artifact == file->artifact);
}

TEST_CASE("a name of which there is no artifact is only text, and too many artifacts are refused") {
  const Place place;
  const auto text = keep_text(*place.artifacts, R"([{"artifact":"vase"},{"artifact":"sha256-0"}])");
  REQUIRE(text);
  CHECK(text->artifacts.empty());
  std::string many = "[";
  for (std::size_t i = 0; i <= limits::text_artifacts; ++i) {
    many += R"({"artifact":")" + place.put(std::to_string(i)) + R"("},)";
  }
  const auto before = place.artifacts->total_bytes();
  const auto refused = keep_text(*place.artifacts, many + "1]");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::too_large);
  CHECK(place.artifacts->total_bytes() == before);
}

TEST_CASE("a file that is not the promised text is an error") {
  const Place place;
  const auto read = [&](const std::string& content, std::uint64_t bytes) {
    const auto text = read_text(*place.artifacts, {place.put(content), bytes, {}});
    return text ? *text : "error";
  };
  CHECK(read("[1]", 3) == "[1]");
  CHECK(read("[1]", 2) == "error");
  CHECK(read("[1]", 4) == "error");
  CHECK(read("[1", 2) == "error");
  CHECK(read("", 0) == "error");
  CHECK(read(std::string(100, '[') + std::string(100, ']'), 200) == "error");
  CHECK_FALSE(read_text(*place.artifacts, {"sha256-" + std::string(64, 'a'), 3, {}}));
}
