#include "tests/unit/edge-agent/plugins/image/pictures.hpp"

#include <cstdint>
#include <fstream>
#include <iterator>

#include "edge-agent/plugins/image/picture.hpp"
#include "tests/support/catch.hpp"

namespace edgefleet::image::test {

using vips::VImage;

Scratch::Scratch() {
  start_vips_once();
  static const fs::path temporary = fs::temp_directory_path();  // before a task sets TMPDIR
  std::string name = (temporary / "edgefleet-image-XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  root_ = name;
  fs::create_directories(root_ / "in");
  fs::create_directories(root_ / "out");
}

Scratch::~Scratch() {
  std::error_code ignored;
  fs::remove_all(root_, ignored);
}

void start_vips_once() {
  static const bool started = start_vips("tests").ok();
  REQUIRE(started);
}

VImage coloured(int width, int height) {
  const VImage places = VImage::xyz(width, height);
  const VImage across = places.extract_band(0) * (255.0 / width);
  const VImage down = places.extract_band(1) * (255.0 / height);
  return VImage::bandjoin({across, down, (across + down) / 2})
      .cast(VIPS_FORMAT_UCHAR)
      .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB));
}

VImage half_black_half_white(int width, int height) {
  return (VImage::xyz(width, height).extract_band(0) * 2 >= width)
      .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_B_W));
}

VImage read(const fs::path& path) {
  return VImage::new_from_file(path.c_str(), VImage::option()->set("fail_on", VIPS_FAIL_ON_WARNING)).copy_memory();
}

void write_text(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

std::string read_bytes(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string beginning(const fs::path& path, double share) {
  const std::string bytes = read_bytes(path);
  return bytes.substr(0, static_cast<std::size_t>(static_cast<double>(bytes.size()) * share));
}

namespace {

std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 0xFFU));
  return bytes;
}

std::uint32_t crc32(const std::string& bytes) {
  std::uint32_t crc = ~0U;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1U) != 0 ? crc >> 1U ^ 0xEDB88320U : crc >> 1U;
  }
  return ~crc;
}

}  // namespace

std::string png_that_claims(std::uint32_t width, std::uint32_t height) {
  const Scratch scratch;
  coloured(1, 1).pngsave(scratch.in("one.png").c_str());
  std::string bytes = read_bytes(scratch.in("one.png"));
  bytes.replace(16, 8, big_endian(width) + big_endian(height));
  bytes.replace(29, 4, big_endian(crc32(bytes.substr(12, 17))));  // of "IHDR" and its 13 bytes
  return bytes;
}

}  // namespace edgefleet::image::test
