#include "common/files/durable_write.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

#include "common/files/artifact_digest.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temporary.hpp"

using namespace edgefleet;
namespace fs = std::filesystem;

namespace {

std::error_code code(int number) { return {number, std::generic_category()}; }

std::string id_of(const std::string& content, std::size_t piece) {
  ArtifactDigest digest;
  for (std::size_t at = 0; at < content.size(); at += piece) {
    digest.add(content.data() + at, std::min(piece, content.size() - at));
  }
  return digest.id();
}

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

TEST_CASE("the id of an artifact is the SHA-256 of its content, for every division into pieces") {
  // FIPS 180-4, examples
  CHECK(ArtifactDigest().id() == "sha256-e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(id_of("abc", 3) == "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string content(10'000, 'x');
  CHECK(id_of(content, 7) == id_of(content, content.size()));
}

TEST_CASE("a full disk or quota is distinguished from other failures") {
  CHECK(disk_error("a", code(ENOSPC)).kind == ErrorKind::full);
  CHECK(disk_error("a", code(EDQUOT)).kind == ErrorKind::full);
  CHECK(disk_error("a", code(EIO)).kind == ErrorKind::internal);
  CHECK(disk_error("writing b", code(ENOSPC)).message == "writing b: No space left on device");
}

TEST_CASE("everything is written, also to a pipe that accepts less at once") {
  std::array<int, 2> ends{};
  REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
  const std::string sent(1 << 20, 'x');
  bool written = false;
  std::jthread writer([&] {
    written = write_all(ends[1], sent.data(), sent.size());
    ::close(ends[1]);
  });
  std::size_t received = 0;
  std::array<char, 4096> piece{};
  for (ssize_t got = 1; got > 0; received += static_cast<std::size_t>(std::max<ssize_t>(got, 0))) {
    got = ::read(ends[0], piece.data(), piece.size());
  }
  writer.join();
  ::close(ends[0]);
  CHECK(written);
  CHECK(received == sent.size());
}

TEST_CASE("a write to a full device fails, and errno has the reason") {
  const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
  REQUIRE(full >= 0);
  CHECK_FALSE(write_all(full, "x", 1));
  CHECK(disk_error("writing").kind == ErrorKind::full);
  ::close(full);
}

TEST_CASE("a file is renamed over an older one, and an absent file is an error that names it") {
  const test::TemporaryFolder folder;
  const std::string from = folder.path() + "/new";
  const std::string to = folder.path() + "/file";
  std::ofstream(to) << "old";
  std::ofstream(from) << "new";
  REQUIRE(rename_durably(from, to));
  CHECK(content_of(to) == "new");
  CHECK_FALSE(fs::exists(from));
  const auto again = rename_durably(from, to);
  REQUIRE_FALSE(again);
  CHECK(again.error().message.find(from) != std::string::npos);
  CHECK(content_of(to) == "new");
}

TEST_CASE("files and folders are synced, and an absent path is an error that names it") {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  CHECK(sync_file(folder.path() + "/file"));
  CHECK(sync_file(folder.path()));
  const auto absent = sync_file(folder.path() + "/absent");
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message.find("/absent") != std::string::npos);
}
