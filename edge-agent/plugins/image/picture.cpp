#include "edge-agent/plugins/image/picture.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <new>

#include "common/core/utf8.hpp"
#include "edge-agent/plugins/image/colour.hpp"

namespace edgefleet::image {
namespace {

using nlohmann::json;
using vips::VImage;
namespace fs = std::filesystem;

constexpr std::string_view kAccepted = "JPEG, PNG, WebP, GIF, TIFF";

// The kind of a file, by its first bytes and never by its name. Kinds whose decoders have a history of vulnerabilities,
// or which are programs rather than pictures, are listed only so that the refusal can name them.
struct FileSignature {
  std::string_view name;
  std::size_t offset;
  std::string_view magic;
  bool accepted;
  std::optional<Format> format{};
};
using namespace std::string_view_literals;
constexpr std::array kKinds{
    FileSignature{"JPEG", 0, "\xFF\xD8\xFF"sv, true, Format::jpeg},
    FileSignature{"PNG", 0, "\x89PNG\r\n\x1A\n"sv, true, Format::png},
    FileSignature{"WebP", 8, "WEBP"sv, true, Format::webp},
    FileSignature{"GIF", 0, "GIF8"sv, true},
    FileSignature{"TIFF", 0, "II*\0"sv, true},
    FileSignature{"TIFF", 0, "MM\0*"sv, true},
    FileSignature{"TIFF", 0, "II+\0"sv, true},  // of more than 4 GiB, or written for such sizes
    FileSignature{"TIFF", 0, "MM\0+"sv, true},
    FileSignature{"PDF", 0, "%PDF"sv, false},
    FileSignature{"HEIC or AVIF", 4, "ftyp"sv, false},
    FileSignature{"BMP", 0, "BM"sv, false},
    FileSignature{"Photoshop", 0, "8BPS"sv, false},
};

Failure bad_image(const std::string& message) { return {"bad_image", message, false}; }
Failure bad_input(const std::string& message) { return {"bad_input", message, false}; }

std::string beginning_of(const std::string& path) {
  std::string bytes(1024, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  return bytes;
}

constexpr std::string_view kJpegEnd = "\xFF\xD9";
constexpr int kEof = std::char_traits<char>::eof();

// The next marker of a JPEG that is followed by a length, or is the end mark; kEof: none. In the data of a scan 0xFF is
// followed by 0, or by a restart mark.
int next_marker(std::streambuf& file) {
  int before = 0;
  for (int byte = file.sbumpc(); byte != kEof; byte = file.sbumpc()) {
    const bool stands_alone = byte <= 0x01 || (byte >= 0xD0 && byte <= 0xD8) || byte == 0xFF;
    if (before == 0xFF && !stands_alone) return byte;
    before = byte;
  }
  return kEof;
}

// Segments are walked, because a thumbnail in the header has an end mark too, and some cameras add data behind it.
bool has_end_mark(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::streambuf& file = *stream.rdbuf();
  for (int marker = next_marker(file); marker != kEof; marker = next_marker(file)) {
    if (marker == 0xD9) return true;
    const int high = file.sbumpc();
    const int low = file.sbumpc();
    if (high == kEof || low == kEof) return false;
    file.pubseekoff(std::max(high * 256 + low - 2, 0), std::ios::cur, std::ios::in);
  }
  return false;
}

std::variant<FileSignature, Failure> kind_of(const std::string& path) {
  if (!fs::is_regular_file(path)) return Failure{"missing_file", "the picture's file does not exist", true};
  const std::string bytes = beginning_of(path);
  if (bytes.empty()) return bad_image("the picture's file is empty");
  const auto matches = [&](const FileSignature& kind) {
    return bytes.size() >= kind.offset && std::string_view(bytes).substr(kind.offset).starts_with(kind.magic);
  };
  const auto* kind = std::ranges::find_if(kKinds, matches);
  const bool svg = kind == kKinds.end() && bytes.find("<svg") != std::string::npos;
  if (kind != kKinds.end() && kind->accepted) return *kind;
  const std::string what = svg ? "SVG" : kind != kKinds.end() ? std::string(kind->name) : "";
  const std::string accepted = "; accepted formats: " + std::string(kAccepted);
  return bad_image(what.empty() ? "the file is not a picture" + accepted
                                : what + " pictures are not accepted" + accepted);
}

// Warnings of libvips, one per line. A broken picture can cause one for each tile: the first few are enough.
class Warnings {
 public:
  void add(const char* text) {
    constexpr int most = 5;  // per task, which is a process
    const std::lock_guard lock(mutex_);
    if (first_.empty()) first_ = text;
    if (++count_ <= most) std::fprintf(stderr, "libvips: %s\n", text);
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    first_.clear();
    count_ = 0;
  }
  std::string first() {
    const std::lock_guard lock(mutex_);
    return first_;
  }

 private:
  std::mutex mutex_;  // libvips reports from its threads
  std::string first_;
  int count_ = 0;
};

Warnings& warnings() {
  static Warnings all;
  return all;
}

void log_warning(const char*, GLogLevelFlags, const char* text, void*) { warnings().add(text); }

std::string first_line(const std::string& text) {
  return std::string(cut_front(std::string_view(text).substr(0, text.find('\n')), 500));
}

// libvips collects its messages, one per line, in a buffer of the process: the first one is the cause. Some loaders
// only warn of it, and some only say that they do not know the file, with its path.
std::string vips_message(const std::exception& problem) {
  std::string text = first_line(problem.what());
  vips_error_clear();
  if (text.empty()) text = first_line(warnings().first());
  const bool header = text.empty() || text.ends_with("is not a known file format");
  return header ? "its header is damaged, or a side is zero" : text;
}

// Progress over all passes of libvips over the picture: one per filter that evaluates, and one for the writing.
class PassProgress {
 public:
  PassProgress(const Request& request, const OnProgress& on_progress) : on_progress_(on_progress) {
    passes_ += std::ranges::count_if(request.steps, [](const Step& step) { return step.filter->evaluates; });
  }

  // Images derived from this one report through it.
  void attach(const VImage& picture, std::string text) {
    const std::lock_guard lock(mutex_);
    text_ = std::move(text);
    VipsImage* image = picture.get_image();
    if (image->progress_signal != nullptr) return;
    vips_image_set_progress(image, TRUE);
    g_signal_connect(image, "eval", G_CALLBACK(on_eval), this);
    g_signal_connect(image, "posteval", G_CALLBACK(on_posteval), this);
  }

  void expect_another_pass() {
    const std::lock_guard lock(mutex_);
    ++passes_;
  }

 private:
  static void on_eval(VipsImage*, VipsProgress* progress, void* self) {
    auto& watch = *static_cast<PassProgress*>(self);
    const std::lock_guard lock(watch.mutex_);
    const auto percent = (watch.done_ * 100 + progress->percent) / watch.passes_;
    watch.on_progress_(static_cast<int>(std::min<std::int64_t>(percent, 99)), watch.text_);
  }
  static void on_posteval(VipsImage*, VipsProgress*, void* self) {
    auto& watch = *static_cast<PassProgress*>(self);
    const std::lock_guard lock(watch.mutex_);
    ++watch.done_;
  }

  std::mutex mutex_;  // a nested pass reports from a thread of libvips
  const OnProgress& on_progress_;
  std::int64_t passes_ = 1;
  std::int64_t done_ = 0;
  std::string text_;
};

Failure too_large(const std::string& message) { return {"too_large", message, false}; }

std::string by(Size size) { return std::to_string(size.width) + " x " + std::to_string(size.height); }

std::optional<Failure> over(const Limits& limits, Size size, const char* what) {
  if (size.width * size.height <= limits.most_pixels) return std::nullopt;
  return too_large(std::string(what) + " has " + by(size) + " pixels; at most " +
                   std::to_string(limits.most_pixels / 1'000'000) + " million are allowed");
}

// A TIFF can have any number of bands, and 16 bits or floats in each: what has to be held counts, not only the pixels.
constexpr std::int64_t kBytesOfPixel = 4;

std::optional<Failure> over_in_bytes(const Limits& limits, const VImage& header) {
  const auto bytes = static_cast<std::int64_t>(vips_format_sizeof(header.format())) * header.bands();
  const std::int64_t pixels = std::int64_t{header.width()} * header.height();
  if (bytes <= kBytesOfPixel || pixels * bytes <= limits.most_pixels * kBytesOfPixel) return std::nullopt;
  return too_large("the picture has " + by({header.width(), header.height()}) + " pixels of " + std::to_string(bytes) +
                   " bytes each; at most " + std::to_string(limits.most_pixels * kBytesOfPixel / 1'000'000) +
                   " million bytes are allowed");
}

// Checks sizes by the header alone, before a pixel is decoded: of the picture and of the result of each filter.
std::optional<Failure> check_sizes(const Request& request, const Limits& limits, const VImage& header) {
  Size size = upright_size(header);
  if (auto failure = over(limits, size, "the picture")) return failure;
  if (auto failure = over_in_bytes(limits, header)) return failure;
  for (const auto& step : request.steps) {
    const Size whole = size_before_crop(*step.filter, step.values, size);
    if (std::max(whole.width, whole.height) > VIPS_MAX_COORD) {
      return too_large("the picture would have " + by(whole) + " pixels before it is cropped");
    }
    size = size_after(*step.filter, step.values, size);
    if (auto failure = over(limits, size, "the resized picture")) return failure;
  }
  return std::nullopt;
}

// A file as libvips is to read it.
struct Source {
  std::string path;
  FileSignature kind;
  VipsFailOn fail_on = VIPS_FAIL_ON_ERROR;
};

VImage open(const Source& source, VipsAccess access, vips::VOption* options) {
  return VImage::new_from_file(source.path.c_str(), options->set("access", access)->set("fail_on", source.fail_on));
}

VImage open_header(const Source& source) { return open(source, VIPS_ACCESS_SEQUENTIAL, VImage::option()); }

// How much smaller a resize makes the picture, on the side that it shrinks less.
double reduction(const Step& step, Size before) {
  const Size after = size_before_crop(*step.filter, step.values, before);
  return std::min(static_cast<double>(before.width) / static_cast<double>(after.width),
                  static_cast<double>(before.height) / static_cast<double>(after.height));
}

// JPEG and WebP can be decoded at a fraction of their size, at less cost. A factor of two is left to the resize, whose
// filter is better; and no side falls below a pixel.
vips::VOption* reduced_decoding(const Source& source, double factor) {
  auto* options = VImage::option();
  if (factor < 2) return options;
  if (source.kind.format == Format::jpeg) options->set("shrink", factor >= 8 ? 8 : factor >= 4 ? 4 : 2);
  if (source.kind.format == Format::webp) options->set("scale", 1 / factor);
  return options;
}

VImage open_for_resize(const Source& source, const Step& step, const VImage& header) {
  const double shortest = std::min(header.width(), header.height());
  const double factor = std::min(reduction(step, upright_size(header)) / 2, shortest);
  return open(source, VIPS_ACCESS_SEQUENTIAL, reduced_decoding(source, factor));
}

// In sRGB; upright unless a resize follows, which does that itself.
VImage decode(const Request& request, const Source& source, const VImage& header, PassProgress& watch) {
  const auto* first = request.steps.empty() ? nullptr : &request.steps.front();
  const bool resizes = first != nullptr && first->filter->resizes;
  const bool turned = vips_image_get_orientation(header.get_image()) > 1;
  if (!turned && !resizes) return to_srgb(header);
  // Rotating a picture reads it in another order than that of its file.
  const VImage picture =
      resizes ? open_for_resize(source, *first, header) : open(source, VIPS_ACCESS_RANDOM, VImage::option());
  if (turned) {
    watch.attach(picture, "reading");
    watch.expect_another_pass();
  }
  return resizes ? to_srgb(picture) : to_srgb(picture).autorot();
}

struct Writer {
  std::string_view suffix;
  int most_side;  // pixels, a bound of the format
  void (*write)(const VImage&, const char* path, int quality);
};

void write_jpeg(const VImage& picture, const char* path, int quality) {
  const VImage opaque = picture.has_alpha() ? picture.flatten(VImage::option()->set("background", 255.0)) : picture;
  opaque.jpegsave(path, VImage::option()->set("Q", quality)->set("strip", true));
}
void write_png(const VImage& picture, const char* path, int) {
  picture.pngsave(path, VImage::option()->set("strip", true));
}
void write_webp(const VImage& picture, const char* path, int quality) {
  picture.webpsave(path, VImage::option()->set("Q", quality)->set("strip", true));
}
constexpr std::array kWriters{
    // in the order of Format
    Writer{".jpg", 65535, write_jpeg},
    Writer{".png", 10'000'000, write_png},
    Writer{".webp", 16383, write_webp},
};

std::variant<json, Failure> write(const Request& request, const VImage& picture, Format format) {
  const auto& writer = kWriters[static_cast<std::size_t>(format)];
  const std::string name(kFormatNames[static_cast<std::size_t>(format)]);
  if (std::max(picture.width(), picture.height()) > writer.most_side) {
    return bad_input("format " + name + " allows at most " + std::to_string(writer.most_side) +
                     " pixels a side; resize the picture or choose another format");
  }
  const std::string file = "out/" + request.stem + std::string(writer.suffix);
  const std::string path = request.scratch + "/" + file;
  writer.write(picture, path.c_str(), request.quality);
  return json{{"image", {{"file", file}}},
              {"format", name},
              {"width", picture.width()},
              {"height", picture.height()},
              {"bytes", fs::file_size(path)}};
}

std::variant<json, Failure> transform(const Request& request, const Limits& limits, const Source& source,
                                      const OnProgress& on_progress) {
  const VImage header = open_header(source);
  if (auto failure = check_sizes(request, limits, header)) return *failure;
  if (const auto reason = unknown_samples(header); !reason.empty()) {
    return bad_image("the picture is not accepted: " + reason);
  }
  PassProgress watch(request, on_progress);
  VImage picture = decode(request, source, header, watch);
  Size size = upright_size(header);
  for (const auto& step : request.steps) {
    watch.attach(picture, std::string(step.filter->name));
    picture = step.filter->apply(in_lines(picture), for_reduced(*step.filter, step.values, size));
    size = {picture.width(), picture.height()};
  }
  watch.attach(picture, "writing");
  return write(request, picture, request.format.value_or(source.kind.format.value_or(Format::jpeg)));
}

Failure out_of_memory(const std::string& message) {
  return too_large("the picture needs more memory than a task may take: " + message);
}

// libvips does not distinguish a full disk from other errors.
Failure failure_of(const Request& request, const std::string& message) {
  std::error_code ignored;
  const auto space = fs::space(request.scratch, ignored);
  if (!ignored && space.available < (1U << 20U)) return {"io_error", "the disk is full: " + message, true};
  if (message.find("creating thread") != std::string::npos) return {"internal", message, true};
  if (message.find("memory") != std::string::npos) return out_of_memory(message);
  return bad_image("the picture cannot be read: " + message);
}

std::string lay_out(const Request& request) {
  if (const auto* file = std::get_if<FileSource>(&request.source)) return file->path;
  const std::string path = request.scratch + "/inline-picture";
  std::ofstream(path, std::ios::binary) << std::get<InlineSource>(request.source).bytes;
  return path;
}

// Many programs write a JPEG without its end mark, and all show it. libjpeg waits for more, so that it gets a copy with
// the mark. It fills lines that are missing with grey then, and calls that a warning: such a file is damaged.
Source with_end_mark(Source source, const Request& request) {
  const std::string copy = request.scratch + "/with-end-mark";
  fs::copy_file(source.path, copy, fs::copy_options::overwrite_existing);
  fs::permissions(copy, fs::perms::owner_write, fs::perm_options::add);
  std::ofstream(copy, std::ios::binary | std::ios::app) << kJpegEnd;
  source.path = copy;
  source.fail_on = VIPS_FAIL_ON_WARNING;
  return source;
}

std::variant<Source, Failure> source_of(const Request& request) {
  Source source{lay_out(request), {}};
  const auto kind = kind_of(source.path);
  if (const auto* failure = std::get_if<Failure>(&kind)) return *failure;
  source.kind = std::get<FileSignature>(kind);
  const bool jpeg = source.kind.format == Format::jpeg;
  return jpeg && !has_end_mark(source.path) ? with_end_mark(source, request) : source;
}

}  // namespace

Status start_vips(const char* program) {
  // Its modules (ImageMagick, PDF, slides, HEIC) are below this folder: none of them is loaded.
  setenv("VIPSHOME", "/nonexistent", 1);
  if (VIPS_INIT(program) != 0) return Error{std::string("starting libvips: ") + vips_error_buffer()};
  g_log_set_handler("VIPS", static_cast<GLogLevelFlags>(G_LOG_LEVEL_WARNING | G_LOG_LEVEL_CRITICAL), log_warning,
                    nullptr);
  vips_concurrency_set(1);  // a task is a process with one working thread: slots give the parallelism
  vips_cache_set_max(0);  // nothing is computed twice
  vips_block_untrusted_set(TRUE);
  vips_operation_block_set("VipsForeignLoad", TRUE);
  for (const char* loader : {"Jpeg", "Png", "Webp", "Nsgif", "Tiff"}) {
    vips_operation_block_set((std::string("VipsForeignLoad") + loader).c_str(), FALSE);
  }
  return success();
}

std::variant<json, Failure> process(const Request& request, const Limits& limits, const OnProgress& on_progress) {
  setenv("TMPDIR", request.scratch.c_str(), 1);  // temporary files of libvips are removed with the attempt
  warnings().clear();
  try {
    fs::create_directories(request.scratch + "/out");
    const auto source = source_of(request);
    if (const auto* failure = std::get_if<Failure>(&source)) return *failure;
    return transform(request, limits, std::get<Source>(source), on_progress);
  } catch (const vips::VError& problem) {
    return failure_of(request, vips_message(problem));
  } catch (const fs::filesystem_error& problem) {
    return Failure{"io_error", problem.what(), true};
  } catch (const std::bad_alloc& problem) {
    return out_of_memory(problem.what());
  } catch (const std::exception& problem) {
    return Failure{"internal", problem.what(), true};
  }
}

}  // namespace edgefleet::image
