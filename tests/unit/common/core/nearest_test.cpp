#include "common/core/nearest.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;

TEST_CASE("the distance of two words counts inserted, deleted, replaced and swapped letters") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("blur", "blur") == 0);
  CHECK(edit_distance("blur", "blurr") == 1);
  CHECK(edit_distance("blur", "bur") == 1);
  CHECK(edit_distance("blur", "blor") == 1);
  CHECK(edit_distance("blur", "bulr") == 1);
  CHECK(edit_distance("blur", "edges") == 5);
  CHECK(edit_distance("", "abc") == 3);
}

TEST_CASE("the nearest name is found, and none if no name is near") {
  const std::vector<std::string> names = {"image.blur", "image.resize", "echo"};
  CHECK(nearest("image.blurr", names) == "image.blur");
  CHECK(nearest("imge.resize", names) == "image.resize");
  CHECK(nearest("ehco", names) == "echo");
  CHECK(nearest("IMAGE.BLUR", names) == "image.blur");
  CHECK(nearest("CPUs", {"gpus", "cpus"}) == "cpus");
  CHECK_FALSE(nearest("llm.chat", names));
  CHECK_FALSE(nearest("", names));
  CHECK_FALSE(nearest("echo", {}));
}

TEST_CASE("very long words cost a bounded amount") {
  CHECK(edit_distance(std::string(1'000'000, 'a'), std::string(1'000'000, 'b')) == 200);
}
