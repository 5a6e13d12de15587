// Pictures generated at run time, valid and broken ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <vips/vips8>

namespace edgefleet::image::test {

namespace fs = std::filesystem;

// A folder like the agent's for an attempt: in/ and out/. Removed with the object.
class Scratch {
 public:
  Scratch();
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] std::string path() const { return root_.string(); }
  [[nodiscard]] std::string in(const std::string& name) const { return root_ / "in" / name; }

 private:
  fs::path root_;
};

void start_vips_once();

vips::VImage coloured(int width, int height);               // smooth gradients in sRGB
vips::VImage half_black_half_white(int width, int height);  // the right half is white
vips::VImage read(const fs::path& path);                    // decoded in full
void write_text(const fs::path& path, const std::string& bytes);
std::string read_bytes(const fs::path& path);

// The first `share` of a file.
std::string beginning(const fs::path& path, double share);
// A PNG of one pixel whose header has another size and a correct checksum.
std::string png_that_claims(std::uint32_t width, std::uint32_t height);

}  // namespace edgefleet::image::test
