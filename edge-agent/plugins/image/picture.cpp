#include "edge-agent/plugins/image/picture.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "common/core/utf8.hpp"

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

// libvips collects its messages, one per line, in a buffer of the process: the first one is the cause.
std::string vips_message(const std::exception& problem) {
  const std::string text = problem.what();
  vips_error_clear();
  return std::string(cut_front(std::string_view(text).substr(0, text.find('\n')), 500));
}

// Warnings of libvips, one per line. A broken picture can cause one for each tile: the first few are enough.
void log_warning(const char*, GLogLevelFlags, const char* text, void*) {
  constexpr int most = 5;  // per task, which is a process
  static std::atomic<int> count = 0;
  if (++count <= most) std::fprintf(stderr, "libvips: %s\n", text);
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

// Eight bits and one or three bands in sRGB, optionally with alpha: the input of every filter and format. The profile
// is applied, because it is stripped from the result; a broken one is ignored, as in viewers.
VImage to_srgb(VImage in) {
  if (in.get_typeof(VIPS_META_ICC_NAME) != 0) {
    try {
      in = in.icc_transform("srgb", VImage::option()->set("embedded", true));
    } catch (const vips::VError& problem) {
      std::fprintf(stderr, "the picture's colour profile is ignored: %s\n", vips_message(problem).c_str());
    }
  }
  const bool grey = in.bands() < 3;
  in = in.colourspace(grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB).cast(VIPS_FORMAT_UCHAR);
  const int most = grey ? 2 : 4;
  return in.bands() > most ? in.extract_band(0, VImage::option()->set("n", most)) : in;
}

std::optional<Failure> over(const Limits& limits, Size size, const char* what) {
  if (size.width * size.height <= limits.most_pixels) return std::nullopt;
  return Failure{"too_large",
                 std::string(what) + " has " + std::to_string(size.width) + " x " + std::to_string(size.height) +
                     " pixels; at most " + std::to_string(limits.most_pixels / 1'000'000) + " million are allowed",
                 false};
}

Size upright_size(const VImage& header) {
  const bool on_its_side = vips_image_get_orientation_swap(header.get_image()) != FALSE;
  return on_its_side ? Size{header.height(), header.width()} : Size{header.width(), header.height()};
}

// Checks sizes by the header alone, before a pixel is decoded: of the picture and of the result of each filter.
std::optional<Failure> check_sizes(const Request& request, const Limits& limits, Size size) {
  if (auto failure = over(limits, size, "the picture")) return failure;
  for (const auto& step : request.steps) {
    size = size_after(*step.filter, step.values, size);
    if (auto failure = over(limits, size, "the resized picture")) return failure;
  }
  return std::nullopt;
}

struct Decoded {
  VImage picture;  // upright and in sRGB
  std::size_t steps_done = 0;
};

Decoded decode(const Request& request, const std::string& path, const VImage& header, PassProgress& watch) {
  const auto* first = request.steps.empty() ? nullptr : &request.steps.front();
  if (first != nullptr && first->filter->apply_to_file != nullptr) {
    return {first->filter->apply_to_file(path.c_str(), first->values), 1};
  }
  if (vips_image_get_orientation(header.get_image()) <= 1) return {to_srgb(header), 0};
  // Rotating a picture reads it in another order than that of its file.
  const VImage whole = VImage::new_from_file(
      path.c_str(), VImage::option()->set("access", VIPS_ACCESS_RANDOM)->set("fail_on", VIPS_FAIL_ON_ERROR));
  watch.attach(whole, "reading");
  watch.expect_another_pass();
  return {to_srgb(whole.autorot()), 0};
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

std::variant<json, Failure> transform(const Request& request, const Limits& limits, const std::string& path,
                                      const OnProgress& on_progress) {
  const auto kind = kind_of(path);
  if (const auto* failure = std::get_if<Failure>(&kind)) return *failure;
  const VImage header = VImage::new_from_file(
      path.c_str(), VImage::option()->set("access", VIPS_ACCESS_SEQUENTIAL)->set("fail_on", VIPS_FAIL_ON_ERROR));
  if (auto failure = check_sizes(request, limits, upright_size(header))) return *failure;

  PassProgress watch(request, on_progress);
  auto [picture, steps_done] = decode(request, path, header, watch);
  for (std::size_t i = steps_done; i < request.steps.size(); ++i) {
    watch.attach(picture, std::string(request.steps[i].filter->name));
    picture = request.steps[i].filter->apply(picture, request.steps[i].values);
  }
  watch.attach(picture, "writing");
  return write(request, picture, request.format.value_or(std::get<FileSignature>(kind).format.value_or(Format::jpeg)));
}

// libvips does not distinguish a full disk from other errors.
Failure failure_of(const Request& request, const std::string& message) {
  std::error_code ignored;
  const auto space = fs::space(request.scratch, ignored);
  if (!ignored && space.available < (1U << 20U)) return {"io_error", "the disk is full: " + message, true};
  return bad_image("the picture cannot be read: " + message);
}

std::string lay_out(const Request& request) {
  if (const auto* file = std::get_if<FileSource>(&request.source)) return file->path;
  const std::string path = request.scratch + "/inline-picture";
  std::ofstream(path, std::ios::binary) << std::get<InlineSource>(request.source).bytes;
  return path;
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
  try {
    fs::create_directories(request.scratch + "/out");
    return transform(request, limits, lay_out(request), on_progress);
  } catch (const vips::VError& problem) {
    return failure_of(request, vips_message(problem));
  } catch (const fs::filesystem_error& problem) {
    return Failure{"io_error", problem.what(), true};
  } catch (const std::exception& problem) {
    return Failure{"internal", problem.what(), true};
  }
}

}  // namespace edgefleet::image
