// Messages of Ollama and its registry, in the formats of server/images.go, server/download.go and OCI manifests.
#include "edge-agent/executors/llm/pull.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "common/system/entropy.hpp"
#include "edge-agent/executors/llm/model_name.hpp"
#include "edge-agent/executors/llm/models_folder.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

const std::string digest_a = "sha256:" + std::string(64, 'a');
const std::string digest_b = "sha256:" + std::string(64, 'b');

std::string manifest_of(const std::string& layers) {
  return R"({"schemaVersion":2,"config":{"digest":")" + digest_b + R"(","size":487},"layers":)" + layers + "}";
}

std::string layer(const std::string& digest, const std::string& size) {
  return R"({"mediaType":"application/vnd.ollama.image.model","digest":")" + digest + R"(","size":)" + size + "}";
}

void tell(PullProgress& progress, std::initializer_list<std::string> lines) {
  for (const auto& line : lines) progress.take(Json::parse(line));
}

std::string part(const std::string& digest, const std::string& total, const std::string& completed) {
  return R"({"status":"pulling aaaa","digest":")" + digest + R"(","total":)" + total + R"(,"completed":)" + completed +
         "}";
}

struct Folder {
  Folder() { std::filesystem::create_directories(path + "/blobs"); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path = std::filesystem::temp_directory_path() / ("edgefleet-models-" + new_session_id().str());
  std::string blob(const std::string& digest) const { return path + "/blobs/sha256-" + digest.substr(7); }
};

}  // namespace

TEST_CASE("the name of a model is parsed as in Ollama") {
  const auto listed = [](const char* text) {
    const auto name = ModelName::parse(text);
    return name ? name->listed() : "";
  };
  CHECK(listed("tinyllama") == "tinyllama:latest");
  CHECK(listed("library/deepseek-coder:1.3b") == "deepseek-coder:1.3b");
  CHECK(listed("registry.ollama.ai/library/deepseek-coder:1.3b") == "deepseek-coder:1.3b");
  CHECK(listed("someone/thing:q4_0") == "someone/thing:q4_0");
  CHECK(listed("hf.co/someone/Thing-GGUF:Q4_K_M") == "hf.co/someone/Thing-GGUF:Q4_K_M");
  CHECK(listed("localhost:5000/someone/thing") == "localhost:5000/someone/thing:latest");
  CHECK(ModelName::parse("tinyllama")->manifest_path() == "/v2/library/tinyllama/manifests/latest");
  CHECK(ModelName::parse("someone/thing:q4_0")->manifest_path() == "/v2/someone/thing/manifests/q4_0");
  for (const char* wrong : {"", ":", "a:", ":b", "/a", "a/", "a//b", "../a", "a/../b", "a b", "a:b:c", "-a", "a/b/c/d",
                            "http://x/a/b", "a?x", "a%2f", "x:y/a/b"}) {
    INFO(wrong);
    CHECK_FALSE(ModelName::parse(wrong));
  }
  CHECK(ModelName::parse(std::string(248, 'a')));
  for (const std::size_t length : {249U, 255U, 256U}) CHECK_FALSE(ModelName::parse(std::string(length, 'a')));
}

TEST_CASE("the default model depends on the machine's memory") {
  CHECK(model_for_memory(8'200'000'000) == "deepseek-coder:6.7b");
  CHECK(model_for_memory(3'981'533'184) == "deepseek-coder:1.3b");
  CHECK(model_for_memory(1'900'000'000) == "deepseek-r1:1.5b");
  CHECK_FALSE(model_for_memory(950'000'000));
}

TEST_CASE("a manifest lists the layers of a model") {
  const auto manifest = read_manifest(manifest_of("[" + layer(digest_a, "776080839") + "]"));
  REQUIRE(manifest);
  CHECK(bytes_of(*manifest) == 776080839 + 487);
  for (const std::string& wrong :
       {std::string("nonsense"), std::string("[]"), std::string("{}"), std::string(R"({"layers":[]})"),
        std::string(R"({"layers":{"a":1}})"), std::string(R"({"layers":[{"digest":"../../etc/passwd","size":1}]})")}) {
    CHECK_FALSE(read_manifest(wrong));
  }
  // Impossible sizes do not overflow.
  const auto odd = read_manifest(manifest_of("[" + layer(digest_a, "9223372036854775807") + "," +
                                             layer(digest_a, "-5") + "," + layer(digest_a, "\"x\"") + "]"));
  REQUIRE(odd);
  CHECK(bytes_of(*odd) == (std::uint64_t{1} << 50U) + 487);
}

TEST_CASE("a download's progress is the sum of its layers") {
  PullProgress progress;
  tell(progress, {R"({"status":"pulling manifest"})"});
  CHECK(progress.status() == "pulling manifest");
  CHECK(progress.percent() == -1);
  tell(progress, {R"({"status":"pulling aaaa","digest":")" + digest_a + R"(","total":1000})"});
  CHECK(progress.percent() == 0);
  CHECK(progress.to_come() == 1000);
  tell(progress, {part(digest_a, "1000", "999")});
  CHECK(progress.percent() == 99);
  tell(progress, {part(digest_a, "1000", "1000"), part(digest_b, "1000", "0")});
  CHECK(progress.layers() == 2);
  CHECK(progress.percent() == 50);
  CHECK(progress.to_come() == 1000);
  tell(progress, {part(digest_b, "1000", "5000"), R"({"status":"verifying sha256 digest"})"});
  CHECK(progress.completed() == 2000);
  CHECK_FALSE(progress.complete());
  tell(progress, {R"({"status":"success"})"});
  CHECK(progress.complete());
}

TEST_CASE("a size that is known before counts from the first line on") {
  PullProgress progress(4000);
  tell(progress, {part(digest_a, "1000", "1000")});
  CHECK(progress.percent() == 25);
  CHECK(progress.total() == 4000);
  tell(progress, {part(digest_b, "9000", "0")});  // it was wrong
  CHECK(progress.total() == 10'000);
}

TEST_CASE("invalid lines are ignored") {
  PullProgress progress;
  tell(progress, {"null", "[]", "7", R"({"status":7,"digest":[],"total":"x"})", R"({"total":5})",
                  R"({"status":")" + std::string(5000, 'x') + R"("})"});
  CHECK(progress.status().size() == 200);
  CHECK(progress.layers() == 0);
  for (int i = 0; i < 2000; ++i) tell(progress, {part("d" + std::to_string(i), "1", "0")});
  CHECK(progress.layers() == 1000);
}

TEST_CASE("an error under status 200 is retryable if another attempt can help") {
  const auto error = [](const std::string& message) {
    PullProgress progress;
    progress.take({{"error", message}});
    REQUIRE(progress.error());
    return *progress.error();
  };
  const auto unknown = error("pull model manifest: file does not exist");
  CHECK(unknown.code == "model_not_found");
  CHECK_FALSE(unknown.retryable);
  CHECK(unknown.message == "Ollama reports: pull model manifest: file does not exist");
  CHECK(error("write /x/blobs/sha256-a-partial: no space left on device").code == "insufficient_storage");
  CHECK_FALSE(error("pull model manifest: 412: \n\nThe model requires a newer version of Ollama.").retryable);
  const auto network = error("pull model manifest: Get \"https://x/\": dial tcp: lookup x: no such host");
  CHECK(network.code == "backend_unavailable");
  CHECK(network.retryable);
  CHECK(error("max retries exceeded: EOF").retryable);
  PullProgress odd;
  odd.take({{"error", {{"what", 1}}}});
  CHECK(odd.error()->retryable);
}

TEST_CASE("a refusal concerns this agent: a missing model is not retryable") {
  const auto gone = model_error(404, R"({"error":"model 'x' not found"})");
  CHECK(gone.code == "model_not_found");
  CHECK_FALSE(gone.retryable);
  CHECK(model_error(503, R"({"error":"server busy"})").retryable);
  const auto memory = model_error(500, R"({"error":"model requires more system memory (5.1 GiB) than is available"})");
  CHECK(memory.code == "insufficient_memory");
  CHECK_FALSE(memory.retryable);
}

TEST_CASE("a task may name only hosts that the owner of the agent has listed") {
  const auto model = [](const char* name) { return ModelName::parse(name).value(); };
  const std::vector<std::string> allowed{"hf.co", "10.0.0.5:5000"};
  for (const char* good : {"tinyllama", "someone/thing", "registry.ollama.ai/library/tinyllama",
                           "hf.co/someone/thing:Q4", "10.0.0.5:5000/team/model"}) {
    INFO(good);
    CHECK_FALSE(check_host(model(good), allowed));
  }
  for (const char* bad : {"10.0.0.5/team/model", "10.0.0.5:22/team/model", "evil.hf.co/someone/thing", "hf.co.evil/a/b",
                          "169.254.169.254/latest/meta-data"}) {
    INFO(bad);
    const auto refused = check_host(model(bad), allowed);
    REQUIRE(refused);
    CHECK(refused->code == "not_allowed");
    CHECK_FALSE(refused->retryable);
    CHECK(refused->message.find("pull_hosts") != std::string::npos);
  }
  CHECK(check_host(model("hf.co/someone/thing"), {}));
}

TEST_CASE("the errors for too little space have figures") {
  CHECK_FALSE(check_storage("m", 1'000'000'000, 1'000'000'000 + storage_reserve, "/models"));
  const auto storage = check_storage("m:7b", 3'800'000'000, 2'100'000'000, "/models");
  REQUIRE(storage);
  CHECK(storage->code == "insufficient_storage");
  CHECK_FALSE(storage->retryable);
  CHECK(
      storage->message ==
      "m:7b needs 3.8 GB more on the disk, including 537 MB to be kept free; /models has 2.1 GB free: remove a model, "
      "or free disk space");
  CHECK_FALSE(check_storage("m", 0, 0, "/models"));  // all of it exists

  CHECK_FALSE(check_memory("m", 776'000'000, 3'981'533'184));
  CHECK_FALSE(check_memory("m", 776'000'000, 0));  // unknown
  const auto memory = check_memory("m:7b", 3'800'000'000, 3'981'533'184);
  REQUIRE(memory);
  CHECK(memory->code == "insufficient_memory");
  CHECK(memory->message.find("m:7b is 3.8 GB in size and needs 4.3 GB of memory") == 0);
  CHECK(memory->message.find("this machine has 4.0 GB") != std::string::npos);
}

TEST_CASE("layers in the folder of models need no space") {
  const Folder folder;
  const ModelsFolder models(folder.path);
  const Manifest manifest = {{digest_a, 1'000'000}, {digest_b, 500}};
  CHECK(models.missing_bytes(manifest) == 1'000'500);
  std::ofstream(folder.blob(digest_b)) << "whole";
  CHECK(models.missing_bytes(manifest) == 1'000'000);
  {
    std::ofstream partial(folder.blob(digest_a) + "-partial");
    partial << std::string(400'000, 'x') << std::flush;
  }
  std::filesystem::resize_file(folder.blob(digest_a) + "-partial", 1'000'000);  // sparse, as Ollama leaves it
  const auto missing = models.missing_bytes(manifest);
  REQUIRE(missing);
  CHECK(*missing >= 500'000);
  CHECK(*missing <= 600'000);
}

TEST_CASE("a folder of models that does not exist yet has the free space of its parent") {
  const Folder folder;
  const ModelsFolder inner(folder.path + "/not/yet/there");
  CHECK(inner.free_bytes().value_or(0) > 0);
  CHECK(inner.missing_bytes({{digest_a, 7}}) == 7);
  CHECK_FALSE(ModelsFolder("").free_bytes());
  CHECK(ModelsFolder::find("/somewhere/else") == "/somewhere/else");
}
