#include "edge-agent/executors/files/artifacts.hpp"

#include "tests/support/catch.hpp"

namespace edgefleet::agent {
namespace {

const std::string id = "sha256-" + std::string(64, 'a');

TEST_CASE("only an id that is safe in a path is the id of an artifact") {
  CHECK(valid_artifact_id(id));
  CHECK_FALSE(valid_artifact_id(id + "a"));
  CHECK_FALSE(valid_artifact_id("sha256-" + std::string(63, 'a')));
  CHECK_FALSE(valid_artifact_id("sha256-" + std::string(64, 'A')));
  CHECK_FALSE(valid_artifact_id("sha256-" + std::string(61, 'a') + "/.."));
  CHECK_FALSE(valid_artifact_id(""));
}

TEST_CASE("objects that name an artifact get the path of its file, at any depth") {
  const auto laid = lay_input(R"({"image":{"artifact":")" + id + R"(","name":"a"},"more":[[{"artifact":")" + id +
                                  R"(","mask":{"artifact":")" + id + R"("}}]],"n":1.50})",
                              "/s/in");
  REQUIRE(laid.ok());
  CHECK(laid->artifacts == std::set<std::string>{id});
  const std::string file = R"("file":"/s/in/)" + id + '"';
  CHECK(laid->input == R"({"image":{"artifact":")" + id + R"(","name":"a",)" + file + R"(},"more":[[{"artifact":")" +
                           id + R"(","mask":{"artifact":")" + id + "\"," + file + "}," + file + R"(}]],"n":1.50})");
}

TEST_CASE("an input cannot name a file of the device") {
  CHECK_FALSE(lay_input(R"({"image":{"file":"/etc/passwd"}})", "/s/in").ok());
  CHECK_FALSE(lay_input(R"([{"a":[{"file":"x"}]}])", "/s/in").ok());
  const auto both = lay_input(R"({"file":"/etc/passwd","artifact":")" + id + R"("})", "/s/in");
  REQUIRE(both.ok());
  CHECK(both->input.find("passwd") == std::string::npos);
  CHECK(both->input.find("/s/in/" + id) != std::string::npos);
  // The key with an escape, and given twice.
  CHECK_FALSE(lay_input(R"({"fi\u006ce":"/etc/passwd"})", "/s/in").ok());
  const auto twice = lay_input(R"({"artifact":")" + id + R"(","file":1,"file":"/etc/passwd"})", "/s/in");
  REQUIRE(twice.ok());
  CHECK(twice->input.find("passwd") == std::string::npos);
}

TEST_CASE("an artifact with a bad id is refused") {
  CHECK_FALSE(lay_input(R"({"artifact":"../../etc/passwd"})", "/s/in").ok());
  CHECK_FALSE(lay_input(R"({"artifact":""})", "/s/in").ok());
}

TEST_CASE("numbers and the order of keys are unchanged") {
  const std::string text = R"({"z":12345678901234567890123,"a":[0.10,1e400,-0],"s":"\u00e4"})";
  const auto laid = lay_input(text, "/s/in");
  REQUIRE(laid.ok());
  CHECK(laid->input == text);
  CHECK(laid->artifacts.empty());
}

}  // namespace
}  // namespace edgefleet::agent
