// Tests the built plug-in through the agent's protocol.
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "edge-agent/plugins/image/request.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/edge-agent/plugins/image/pictures.hpp"
#include "tests/unit/edge-agent/plugins/image/plugin_process.hpp"

using namespace edgefleet::image;
using namespace edgefleet::image::test;
using nlohmann::json;
using vips::VImage;

namespace {

// The plug-in, with a scratch folder that its tasks share.
struct Bench {
  Scratch scratch;
  PluginProcess plugin;
  int sent = 0;

  explicit Bench(const std::string& slots = "2") : plugin({IMAGE_PLUGIN, "--slots", slots, "--max-megapixels", "40"}) {
    REQUIRE(plugin.next()["type"] == "hello");
  }

  json laid_out(const std::string& file) const { return {{"artifact", "sha256-ab"}, {"file", scratch.in(file)}}; }

  std::string send(const std::string& capability, json input) {
    const std::string id = "task-" + std::to_string(++sent);
    plugin.send({{"type", "task"},
                 {"id", id},
                 {"attempt", 1},
                 {"capability", capability},
                 {"input", std::move(input)},
                 {"timeout_ms", 60000},
                 {"scratch", scratch.path()}});
    return id;
  }
  json run(const std::string& capability, json input) {
    const std::string id = send(capability, std::move(input));
    const json result = plugin.next_of("result");
    CHECK(result["id"] == id);
    CHECK(result["attempt"] == 1);
    return result;
  }
  json output(const std::string& capability, const json& input) {
    const json result = run(capability, input);
    INFO(result.dump());
    REQUIRE(result.contains("output"));
    return result["output"];
  }
  json error(const std::string& capability, const json& input) {
    const json result = run(capability, input);
    INFO(result.dump());
    REQUIRE(result.contains("error"));
    return result["error"];
  }
  json error_of_file(const std::string& file) { return error("image.blur", {{"image", laid_out(file)}}); }
  VImage picture(const json& output) const {
    return read(scratch.path() + "/" + output["image"]["file"].get<std::string>());
  }
  bool works() { return output("image.resize", {{"image", laid_out("sound.png")}, {"width", 8}})["width"] == 8; }
  void lay_out_sound() const { coloured(32, 24).pngsave(scratch.in("sound.png").c_str()); }

  // Some seconds of work; its first lines, and its progress with them, are there early.
  // The picture is written once: a task may still be reading it when the next one is sent.
  json long_work() const {
    if (!std::filesystem::exists(scratch.in("big.jpg"))) {
      VImage::black(6000, 6000, VImage::option()->set("bands", 3)).jpegsave(scratch.in("big.jpg").c_str());
    }
    return {{"image", laid_out("big.jpg")}, {"filters", json(16, {{"name", "blur"}, {"radius", 2}})}};
  }
};

std::string base64(const std::string& bytes) {
  gchar* text = g_base64_encode(reinterpret_cast<const guchar*>(bytes.data()), bytes.size());
  std::string copy(text);
  g_free(text);
  return copy;
}

}  // namespace

TEST_CASE("the plug-in sends a hello with its capabilities and slots") {
  PluginProcess plugin({IMAGE_PLUGIN, "--slots", "3"});
  const json hello = plugin.next();
  CHECK(hello["type"] == "hello");
  CHECK(hello["protocol"] == 1);
  CHECK(hello["name"] == "image");
  CHECK(hello["version"].is_string());
  CHECK(hello["slots"] == 3);
  CHECK(hello["capabilities"].size() == 5);
  for (const auto& capability : hello["capabilities"]) {
    const json& schema = hello["parameters"][capability.get<std::string>()];
    CHECK(schema["type"] == "object");
    CHECK(schema["properties"]["image"]["type"] == "object");
    CHECK(schema["required"][0] == "image");
    CHECK(schema["additionalProperties"] == false);
    CHECK(schema.dump().size() < 8192);
  }
  CHECK(hello["parameters"]["image.blur"]["properties"]["radius"] ==
        json{{"type", "number"}, {"minimum", 0.1}, {"maximum", 50}, {"default", 2}});
  CHECK(hello["parameters"]["image.resize"]["properties"]["fit"] ==
        json{{"enum", {"inside", "cover", "exact"}}, {"default", "inside"}});
  CHECK(hello["parameters"]["image.resize"]["properties"]["width"]["type"] == "integer");
  CHECK(hello["parameters"]["image.process"]["properties"]["filters"]["items"]["properties"]["name"]["enum"].size() ==
        4);
}

TEST_CASE("every filter works on every format, and keeps the format") {
  Bench bench;
  const auto picture = coloured(200, 150);
  picture.jpegsave(bench.scratch.in("a.jpeg").c_str());
  picture.pngsave(bench.scratch.in("a.png").c_str());
  picture.webpsave(bench.scratch.in("a.webp").c_str());
  const std::map<std::string, json> parameters{
      {"image.resize", {{"width", 100}}},
      {"image.blur", json::object()},
      {"image.sharpen", json::object()},
      {"image.edges", json::object()},
      {"image.process", {{"filters", {{{"name", "sharpen"}}, {{"name", "edges"}}}}}}};
  for (const std::string format : {"jpeg", "png", "webp"}) {
    for (auto [capability, input] : parameters) {
      CAPTURE(format, capability);
      input["image"] = bench.laid_out("a." + format);
      const json output = bench.output(capability, input);
      CHECK(output["format"] == format);
      CHECK(output["width"] == (capability == "image.resize" ? 100 : 200));
      CHECK(output["height"] == (capability == "image.resize" ? 75 : 150));
      const auto result = bench.picture(output);
      CHECK(result.width() == output["width"]);
      CHECK(std::string(result.get_string("vips-loader")).starts_with(format));
      CHECK(fs::file_size(bench.scratch.path() + "/" + output["image"]["file"].get<std::string>()) == output["bytes"]);
    }
  }
}

TEST_CASE("another format and its quality can be requested; transparency becomes white in JPEG") {
  Bench bench;
  VImage::black(40, 40, VImage::option()->set("bands", 4))
      .copy(VImage::option()->set("interpretation", VIPS_INTERPRETATION_sRGB))
      .pngsave(bench.scratch.in("clear.png").c_str());
  const auto jpeg = bench.output(
      "image.process", {{"image", bench.laid_out("clear.png")}, {"filters", json::array()}, {"format", "jpeg"}});
  CHECK(jpeg["image"]["file"] == "out/result.jpg");
  CHECK(bench.picture(jpeg).avg() == Approx(255).margin(1));
  const auto webp = bench.output(
      "image.process", {{"image", bench.laid_out("clear.png")}, {"filters", json::array()}, {"format", "webp"}});
  CHECK(bench.picture(webp).bands() == 4);

  (coloured(300, 300) + VImage::gaussnoise(300, 300))
      .cast(VIPS_FORMAT_UCHAR)
      .pngsave(bench.scratch.in("noisy.png").c_str());
  const auto bytes = [&](int quality) {
    return bench
        .output("image.blur", {{"image", bench.laid_out("noisy.png")},
                               {"radius", 0.1},
                               {"format", "jpeg"},
                               {"quality", quality}})["bytes"]
        .get<int>();
  };
  CHECK(bytes(95) > 2 * bytes(30));
}

TEST_CASE("the content of a file determines its format, not its name") {
  Bench bench;
  coloured(64, 64).pngsave((bench.scratch.path() + "/x.png").c_str());
  fs::rename(bench.scratch.path() + "/x.png", bench.scratch.in("picture.jpg"));
  CHECK(bench.output("image.blur", {{"image", bench.laid_out("picture.jpg")}})["format"] == "png");
}

TEST_CASE("a picture in 16 bits, in CMYK or with two bands is converted for the format") {
  Bench bench;
  coloured(40, 30).colourspace(VIPS_INTERPRETATION_RGB16).pngsave(bench.scratch.in("deep.png").c_str());
  coloured(40, 30).colourspace(VIPS_INTERPRETATION_CMYK).jpegsave(bench.scratch.in("print.jpg").c_str());
  half_black_half_white(40, 30).bandjoin(128).pngsave(bench.scratch.in("grey.png").c_str());
  coloured(40, 30).gifsave(bench.scratch.in("a.gif").c_str());
  coloured(40, 30).tiffsave(bench.scratch.in("a.tiff").c_str());
  for (const char* file : {"deep.png", "print.jpg", "grey.png", "a.gif", "a.tiff"}) {
    for (const char* filter : {"image.sharpen", "image.edges", "image.blur"}) {
      CAPTURE(file, filter);
      const auto result = bench.picture(bench.output(filter, {{"image", bench.laid_out(file)}, {"format", "webp"}}));
      CHECK(result.width() == 40);
      CHECK(result.format() == VIPS_FORMAT_UCHAR);
    }
    const auto result = bench.picture(bench.output("image.resize", {{"image", bench.laid_out(file)}, {"width", 20}}));
    CHECK(result.width() == 20);
  }
}

TEST_CASE("a picture is rotated by its EXIF orientation, and metadata is removed") {
  Bench bench;
  auto picture = coloured(120, 80).copy();
  picture.set("orientation", 6);
  picture.set("exif-ifd0-Artist", "somebody");
  picture.jpegsave(bench.scratch.in("turned.jpg").c_str());
  REQUIRE(read(bench.scratch.in("turned.jpg")).get_int("orientation") == 6);
  for (const json& input : {json{{"capability", "image.blur"}}, json{{"capability", "image.resize"}, {"width", 40}}}) {
    json fields = input;
    fields.erase("capability");
    fields["image"] = bench.laid_out("turned.jpg");
    const auto result = bench.picture(bench.output(input["capability"], fields));
    CAPTURE(input.dump());
    CHECK(result.height() > result.width());
    CHECK(result.get_typeof("orientation") == 0);
    CHECK(result.get_typeof("exif-data") == 0);
    // Its bright right side is at the bottom now.
    CHECK(result(5, result.height() - 5)[0] > 200);
    CHECK(result(5, 5)[0] < 50);
  }
}

TEST_CASE("a small picture can be inline, in base64") {
  Bench bench;
  coloured(50, 40).pngsave(bench.scratch.in("a.png").c_str());
  const json image{{"base64", base64(read_bytes(bench.scratch.in("a.png")))}, {"name", "my cat.png"}};
  const json output = bench.output("image.resize", {{"image", image}, {"width", 25}});
  CHECK(output["image"]["file"] == "out/my_cat.png");
  CHECK(output["height"] == 20);
  CHECK(bench.error("image.blur", {{"image", {{"base64", base64("no picture")}}}})["code"] == "bad_image");
}

TEST_CASE("an invalid picture is refused with a reason, is not retryable, and the plug-in continues") {
  Bench bench;
  bench.lay_out_sound();
  // Fine detail, so that half of the file is about half of the picture.
  const auto noisy = (coloured(400, 400) + VImage::gaussnoise(400, 400)).cast(VIPS_FORMAT_UCHAR);
  noisy.jpegsave(bench.scratch.in("a.jpg").c_str());
  noisy.pngsave(bench.scratch.in("a.png").c_str());
  noisy.webpsave(bench.scratch.in("a.webp").c_str());
  struct Case {
    std::string name;
    std::string bytes;
    std::string code;
    std::string part_of_message;
  };
  const std::vector<Case> cases{
      {"truncated.jpg", beginning(bench.scratch.in("a.jpg"), 0.5), "bad_image", "cannot be read"},
      {"truncated.png", beginning(bench.scratch.in("a.png"), 0.5), "bad_image", "cannot be read"},
      {"truncated.webp", beginning(bench.scratch.in("a.webp"), 0.5), "bad_image", "cannot be read"},
      {"stub.jpg", "\xFF\xD8\xFF", "bad_image", "cannot be read"},
      {"bomb.png", png_that_claims(50'000, 50'000), "too_large", "50000 x 50000 pixels; at most 40 million"},
      {"wide.png", png_that_claims(2'000'000'000, 1), "bad_image", "cannot be read"},
      {"text.jpg", "This is a letter.", "bad_image", "not a picture"},
      {"drawing.svg", "<?xml version=\"1.0\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "bad_image",
       "SVG pictures are not accepted"},
      {"paper.pdf", "%PDF-1.7 ", "bad_image", "PDF pictures are not accepted"},
      {"phone.heic",
       std::string("\0\0\0\x18"
                   "ftypheic",
                   12),
       "bad_image", "HEIC or AVIF pictures are not accepted"},
      {"old.ppm", "P6 1 1 255 abc", "bad_image", "not a picture"},
      {"empty.jpg", "", "bad_image", "empty"},
  };
  for (const auto& broken : cases) {
    CAPTURE(broken.name);
    write_text(bench.scratch.in(broken.name), broken.bytes);
    for (const char* capability : {"image.blur", "image.resize"}) {
      json input{{"image", bench.laid_out(broken.name)}};
      if (std::string(capability) == "image.resize") input["width"] = 10;
      const json error = bench.error(capability, input);
      CAPTURE(error.dump());
      CHECK(error["code"] == broken.code);
      CHECK(error["retryable"] == false);
      CHECK(error["message"].get<std::string>().find(broken.part_of_message) != std::string::npos);
    }
  }
  CHECK(bench.works());
}

TEST_CASE("a missing picture is a retryable error") {
  Bench bench;
  const json error = bench.error_of_file("nothing.jpg");
  CHECK(error["code"] == "missing_file");
  CHECK(error["retryable"] == true);
}

TEST_CASE("a result beyond the bound is refused before it is computed") {
  Bench bench;
  bench.lay_out_sound();
  const json image = bench.laid_out("sound.png");
  CHECK(bench.error("image.resize", {{"image", image}, {"width", 16384}})["code"] == "too_large");
  CHECK(bench.error("image.resize",
                    {{"image", image}, {"width", 16384}, {"height", 16384}, {"fit", "cover"}})["code"] == "too_large");
  const json error = bench.error(
      "image.resize", {{"image", image}, {"width", 16384}, {"height", 1}, {"fit", "exact"}, {"format", "webp"}});
  CHECK(error["code"] == "bad_input");
  CHECK(error["message"] ==
        "format webp allows at most 16383 pixels a side; resize the picture or choose another format");
}

TEST_CASE("bad input is refused with the field's name") {
  Bench bench;
  bench.lay_out_sound();
  const json error = bench.error("image.blur", {{"image", bench.laid_out("sound.png")}, {"radius", 1000}});
  CHECK(error ==
        json{{"code", "bad_input"}, {"message", "radius must be a number from 0.1 to 50"}, {"retryable", false}});
  CHECK(bench.error("image.blur", json::array())["code"] == "bad_input");
  CHECK(bench.error("image.blur", nullptr)["code"] == "bad_input");
}

TEST_CASE("lines that are not messages are ignored") {
  Bench bench;
  bench.lay_out_sound();
  bench.plugin.send_bytes("garbage\n\n[]\n{\"type\":\"task\"}\n{\"type\":\"later\"}\n\xFF\xFE\n");
  bench.plugin.send_bytes(std::string(3 << 20, 'x') + "\n");
  bench.plugin.send({{"type", "cancel"}, {"id", "unknown"}, {"attempt", 1}});
  CHECK(bench.works());
}

TEST_CASE("a cancel stops work in progress at once") {
  Bench bench;
  bench.lay_out_sound();
  const std::string id = bench.send("image.process", bench.long_work());
  const json progress = bench.plugin.next_of("progress");
  CHECK(progress["id"] == id);
  CHECK(progress["percent"] >= 0);
  CHECK(progress["percent"] <= 99);
  const auto before = std::chrono::steady_clock::now();
  bench.plugin.send({{"type", "cancel"}, {"id", id}, {"attempt", 1}});
  const json result = bench.plugin.next_of("result");
  CHECK(result["id"] == id);
  CHECK(result["error"]["code"] == "cancelled");
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(2));
  CHECK(bench.plugin.children().empty());
  CHECK(bench.works());
}

TEST_CASE("tasks run in parallel, up to the slots, each with its own end") {
  Bench bench;
  bench.lay_out_sound();
  const std::string slow = bench.send("image.process", bench.long_work());
  CHECK(bench.works());  // while the other one runs
  const std::string second = bench.send("image.process", bench.long_work());
  const json refused = bench.run("image.blur", {{"image", bench.laid_out("sound.png")}});
  CHECK(refused["error"]["code"] == "busy");
  CHECK(refused["error"]["retryable"] == true);
  bench.plugin.send({{"type", "cancel"}, {"id", second}, {"attempt", 2}});  // another attempt: not this one
  bench.plugin.send({{"type", "cancel"}, {"id", second}, {"attempt", 1}});
  CHECK(bench.plugin.next_of("result")["id"] == second);
  CHECK(bench.works());
  bench.plugin.send({{"type", "cancel"}, {"id", slow}, {"attempt", 1}});
  CHECK(bench.plugin.next_of("result")["id"] == slow);
}

TEST_CASE("a crash fails the task, not the plug-in") {
  Bench bench;
  bench.lay_out_sound();
  const std::vector<std::tuple<int, std::string, bool>> ends{{SIGABRT, "crashed", false}, {SIGKILL, "killed", true}};
  for (const auto& [signal, code, retryable] : ends) {
    bench.send("image.process", bench.long_work());
    bench.plugin.next_of("progress");
    REQUIRE(bench.plugin.children().size() == 1);
    kill(bench.plugin.children().front(), signal);
    const json error = bench.plugin.next_of("result")["error"];
    CHECK(error["code"] == code);
    CHECK(error["retryable"] == retryable);
    CHECK(bench.works());
  }
}

TEST_CASE("the address space of the plug-in and of its tasks is bounded by its largest picture") {
  const auto bound = [](const char* megapixels) {
    PluginProcess plugin({IMAGE_PLUGIN, "--max-megapixels", megapixels});
    plugin.next();
    return plugin.address_space_bound();
  };
  const auto small = bound("1");
  CHECK(bound("101") - small == Approx(100e6 * 16).margin(64e6));
}

// The allocator of AddressSanitizer ends the process instead.
#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("a picture that needs more memory than a task may take is refused for that reason") {
  Bench bench;
  bench.lay_out_sound();
  VImage::black(5200, 5200, VImage::option()->set("bands", 3))  // 162 MB of coefficients
      .jpegsave(bench.scratch.in("a.jpg").c_str(), VImage::option()->set("interlace", true)->set("Q", 95));
  bench.plugin.bound_address_space(100 << 20);
  const json error = bench.error_of_file("a.jpg");
  CHECK(error["code"] == "too_large");
  CHECK(error["retryable"] == false);
  CHECK(error["message"].get<std::string>().find("needs more memory than a task may take") != std::string::npos);
  CHECK(bench.works());
}
#endif

TEST_CASE("when the agent closes its end, the plug-in and its tasks end at once") {
  Bench bench;
  bench.send("image.process", bench.long_work());
  bench.plugin.next_of("progress");
  const auto workers = bench.plugin.children();
  REQUIRE(workers.size() == 1);
  bench.plugin.close_stdin();
  CHECK(bench.plugin.wait_for_exit() == 0);
  CHECK(kill(workers.front(), 0) != 0);
}

TEST_CASE("an invalid flag is an error of one sentence and a non-zero exit code") {
  for (const char* slots : {"0", "many", "-1"}) {
    PluginProcess plugin({IMAGE_PLUGIN, "--slots", slots});
    CHECK(plugin.wait_for_exit() != 0);
  }
}
