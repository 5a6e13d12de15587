#include "common/http_server/inflate.hpp"

#define ZLIB_CONST
#include <zlib.h>

#include <vector>

namespace edgefleet::http_server {
namespace {

constexpr std::size_t piece_bytes = 64 * 1024;
constexpr int gzip_only = 15 + 16;  // window bits, plus 16: zlib's code for the gzip format

}  // namespace

struct Inflater::Zlib {
  z_stream stream{};
  bool ready = false;
  bool at_end = false;  // of a member; another may follow
  std::vector<char> piece = std::vector<char>(piece_bytes);
};

Inflater::Inflater() : zlib_(std::make_unique<Zlib>()) {
  zlib_->ready = inflateInit2(&zlib_->stream, gzip_only) == Z_OK;
}

Inflater::~Inflater() {
  if (zlib_->ready) inflateEnd(&zlib_->stream);
}

Inflater::Outcome Inflater::put(std::string_view compressed, const Take& take) {
  Zlib& z = *zlib_;
  if (!z.ready) return Outcome::corrupt;
  z.stream.next_in = reinterpret_cast<const Bytef*>(compressed.data());  // NOLINT: zlib's bytes
  z.stream.avail_in = static_cast<uInt>(compressed.size());
  bool full = false;  // zlib holds output that needs no further input
  while (z.stream.avail_in > 0 || full) {
    if (z.at_end && inflateReset(&z.stream) != Z_OK) return Outcome::corrupt;
    z.at_end = false;
    z.stream.next_out = reinterpret_cast<Bytef*>(z.piece.data());  // NOLINT: zlib's bytes
    z.stream.avail_out = static_cast<uInt>(z.piece.size());
    const int outcome = inflate(&z.stream, Z_NO_FLUSH);
    const std::size_t made = z.piece.size() - z.stream.avail_out;
    if (made > 0 && !take({z.piece.data(), made})) return Outcome::refused;
    z.at_end = outcome == Z_STREAM_END;
    full = !z.at_end && z.stream.avail_out == 0;
    if (outcome == Z_BUF_ERROR) break;
    if (outcome != Z_OK && !z.at_end) return Outcome::corrupt;
  }
  return Outcome::more;
}

bool Inflater::complete() const { return zlib_->at_end; }

}  // namespace edgefleet::http_server
