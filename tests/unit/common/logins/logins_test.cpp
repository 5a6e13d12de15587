#include "common/logins/logins.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;

namespace {

const std::string url = "https://pi-1.local:7001";

struct Home {
  test::TemporaryFolder folder;
  std::string path = folder / "config/edgefleet";
  [[nodiscard]] Logins logins() const { return *read_logins(path); }
  [[nodiscard]] std::string file() const { return path + "/logins.json"; }
};

bool keep(const Home& home, Login login, const std::string& ca) {
  login.ca_file = *keep_ca(home.path, ca);
  return keep_login(home.path, login).ok();
}

}  // namespace

TEST_CASE("a login is found again, and the last one is the chosen one") {
  const Home home;
  CHECK(home.logins().all.empty());
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));
  REQUIRE(keep(home, {"https://other:7001", "anna", "chat", "ef_2", {}}, "OTHER"));
  const auto logins = home.logins();
  CHECK(logins.chosen == "https://other:7001");
  REQUIRE(logins.find(url) != nullptr);
  CHECK(logins.find(url)->key == "ef_1");
  std::ifstream ca(logins.find(url)->ca_file);
  CHECK(std::string(std::istreambuf_iterator<char>(ca), {}) == "PEM");
  REQUIRE(keep(home, {url, "anna", "admin", "ef_3", {}}, "PEM"));
  CHECK(home.logins().all.size() == 2);
  CHECK(home.logins().find(url)->key == "ef_3");
}

TEST_CASE("keys are for their owner only, and a file that others can read is refused") {
  const Home home;
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));
  struct stat info{};
  REQUIRE(::stat(home.file().c_str(), &info) == 0);
  CHECK((info.st_mode & 0777U) == 0600U);
  REQUIRE(::chmod(home.file().c_str(), 0644) == 0);
  const auto refused = read_logins(home.path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("chmod 600") != std::string::npos);
  CHECK(refused.error().message.find("ef_1") == std::string::npos);
}

TEST_CASE("a removed login is gone, and another one is chosen") {
  const Home home;
  REQUIRE(keep(home, {"https://other:7001", "anna", "chat", "ef_2", {}}, "OTHER"));
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));
  REQUIRE(remove_login(home.path, url));
  CHECK(home.logins().chosen == "https://other:7001");
  CHECK(remove_login(home.path, url).error().kind == ErrorKind::not_found);
}

TEST_CASE("a folder that others can read is refused, and so is a login that is no file") {
  const Home home;
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));
  REQUIRE(::chmod(home.path.c_str(), 0755) == 0);
  CHECK(read_logins(home.path).error().message.find("chmod 700") != std::string::npos);
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));  // which closes the folder
  CHECK(read_logins(home.path));
  std::filesystem::remove(home.file());
  REQUIRE(::mkfifo(home.file().c_str(), 0600) == 0);
  CHECK_FALSE(read_logins(home.path));
}

TEST_CASE("a certificate that no login needs any more is removed") {
  const Home home;
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));
  REQUIRE(keep(home, {"https://other:7001", "anna", "admin", "ef_2", {}}, "PEM"));
  const std::string ca = home.logins().find(url)->ca_file;
  REQUIRE(remove_login(home.path, url));
  CHECK(std::filesystem::exists(ca));
  REQUIRE(keep(home, {"https://other:7001", "anna", "admin", "ef_2", {}}, "NEW"));
  CHECK_FALSE(std::filesystem::exists(ca));
}

TEST_CASE("a rotation changes the key of the same access only") {
  const Home home;
  CHECK(replace_key(home.path, url, "anna", "ef_new").error().kind == ErrorKind::not_found);
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));
  CHECK(replace_key(home.path, url, "bert", "ef_new").error().kind == ErrorKind::not_found);
  CHECK(home.logins().find(url)->key == "ef_1");
  CHECK_FALSE(replace_key(home.path, url, "anna", "ef new"));
  REQUIRE(replace_key(home.path, url, "anna", "ef_new"));
  CHECK(home.logins().find(url)->key == "ef_new");
}

TEST_CASE("a key of two lines is not kept, and not shown") {
  const Home home;
  const auto refused = keep_login(home.path, {url, "anna", "admin", "ef_1\r\nX: y", {}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("ef_1") == std::string::npos);
}

TEST_CASE("programs that keep logins at the same time lose none") {
  const Home home;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&home, i] {
        const Login one{"https://pi:" + std::to_string(i), "anna", "admin", "ef_1", {}};
        (void)keep_login(home.path, one);
      });
    }
  }
  CHECK(home.logins().all.size() == 8);
}

TEST_CASE("a damaged file is named, with what to do, and shows no key") {
  const Home home;
  REQUIRE(keep(home, {url, "anna", "admin", "ef_1", {}}, "PEM"));
  for (const char* damage : {"", "{", "[]", R"({"logins":[{"url":"u"}]})", R"({"logins":7})",
                             R"({"logins":[{"url":"u","name":"n","key":"ef_1","ca":"../x"}]})"}) {
    INFO(damage);
    std::ofstream(home.file()) << damage;
    const auto read = read_logins(home.path);
    REQUIRE_FALSE(read);
    CHECK(read.error().message.find("edgefleet login") != std::string::npos);
    CHECK(read.error().message.find("ef_1") == std::string::npos);
  }
}
