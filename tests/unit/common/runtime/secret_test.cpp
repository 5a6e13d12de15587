#include "common/runtime/secret.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;

namespace {

// The secret read from a file with this content; none: an error.
std::string secret_in(const std::string& content) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path() + "/secret";
  std::ofstream(path, std::ios::binary) << content;
  const auto secret = read_secret(path);
  if (secret) return *secret;
  CHECK(secret.error().message.find(path) != std::string::npos);
  return "<none>";
}

}  // namespace

TEST_CASE("a secret is the first line of its file, with any line ending") {
  CHECK(secret_in("key\n") == "key");
  CHECK(secret_in("key") == "key");
  CHECK(secret_in("key\r\nmore\r\n") == "key");
  CHECK(secret_in(" k e y \n") == " k e y ");
}

TEST_CASE("a file without a secret is refused, and its path is named") {
  CHECK(secret_in("") == "<none>");
  CHECK(secret_in("\n") == "<none>");
  CHECK(secret_in("\r\nkey\n") == "<none>");
  CHECK_FALSE(read_secret("/nonexistent/secret"));
}
