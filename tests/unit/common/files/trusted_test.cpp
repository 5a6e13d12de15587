#include "common/files/trusted.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

namespace edgefleet {
namespace {

namespace fs = std::filesystem;

struct Place {
  test::TemporaryFolder temp;
  std::string folder = temp / "etc";
  std::string file = folder + "/agent.toml";
  Place() {
    fs::create_directory(folder);
    std::ofstream(file) << "text";
    mode(folder, 0755);
    mode(file, 0644);
  }
  static void mode(const std::string& path, mode_t mode) { REQUIRE(::chmod(path.c_str(), mode) == 0); }
  [[nodiscard]] std::string refusal() const { return refusal(file); }
  [[nodiscard]] static std::string refusal(const std::string& path) {
    const auto status = check_trusted(path, "--config");
    return status ? "" : status.error().message;
  }
};

TEST_CASE("a file that only its owner may change is trusted, and so is an absent one") {
  const Place place;
  CHECK(place.refusal().empty());
  CHECK(Place::refusal(place.folder).empty());
  CHECK(Place::refusal(place.folder + "/absent").empty());
  CHECK(Place::refusal("/bin/sh").empty());
}

TEST_CASE("a file that others may change is refused with the command that ends that") {
  const Place place;
  for (const mode_t mode : {0664U, 0646U, 0666U}) {
    Place::mode(place.file, mode);
    CHECK(place.refusal().find("(--config) can be changed by other users (mode 0") != std::string::npos);
    CHECK(place.refusal().find("chmod go-w " + place.file) != std::string::npos);
  }
}

TEST_CASE("a file in a folder in which others may replace it is refused") {
  const Place place;
  Place::mode(place.folder, 0775);
  CHECK(place.refusal().find("the folder " + place.folder + " (--config) can be changed") == 0);
  Place::mode(place.folder, 01777);  // as /tmp: others cannot replace it
  CHECK(place.refusal().empty());
}

TEST_CASE("of a link, both places count") {
  const Place place;
  const std::string other = place.temp / "other";
  fs::create_directory(other);
  fs::create_symlink(place.file, other + "/link");
  CHECK(Place::refusal(other + "/link").empty());
  Place::mode(other, 0777);
  CHECK(Place::refusal(other + "/link").find("the folder " + other) == 0);
  Place::mode(other, 0755);
  Place::mode(place.folder, 0777);
  CHECK(Place::refusal(other + "/link").find("the folder " + place.folder) == 0);
}

TEST_CASE("a file of another user is refused, and one of root is not") {
  if (::geteuid() != 0) {
    WARN("not tested: only root can give files away");
    return;
  }
  const Place place;
  REQUIRE(::chown(place.file.c_str(), 65534, 65534) == 0);
  CHECK(place.refusal().find("belongs to user 65534, but this program runs as root: run `chown 0 " + place.file) !=
        std::string::npos);
  REQUIRE(::chown(place.file.c_str(), 0, 0) == 0);
  Place::mode(place.temp / ".", 0755);
  REQUIRE(::seteuid(65534) == 0);
  const auto of_root = place.refusal();
  REQUIRE(::seteuid(0) == 0);
  CHECK(of_root.empty());
}

}  // namespace
}  // namespace edgefleet
