#include "edge-agent/executors/llm/config.hpp"

#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

Settings ollama() {
  Settings settings;
  settings.provider = "ollama";
  return settings;
}

std::string refused(const Settings& settings) {
  const auto config = Config::check(settings);
  return config ? "" : config.error().message;
}

bool says(const Settings& settings, const char* words) { return refused(settings).find(words) != std::string::npos; }

}  // namespace

TEST_CASE("an Ollama has a second executor, for its models; others have none") {
  auto settings = ollama();
  CHECK(Config::check(settings)->executor.str() == "llm-ollama");
  CHECK(Config::check(settings)->keeper->str() == "llm-ollama-models");
  CHECK(Config::check(settings)->registry == "https://registry.ollama.ai");
  settings.name = std::string(52, 'a');
  CHECK(refused(settings).empty());
  settings.name += 'a';
  CHECK(says(settings, "at most 52 characters"));
  Settings other;
  other.provider = "openai";
  other.url = "http://127.0.0.1:8080";
  CHECK_FALSE(Config::check(other)->keeper);
  other.pull = {"tinyllama"};
  CHECK(says(other, "for provider ollama only"));
}

TEST_CASE("the URL of a back end is an address without a secret") {
  auto settings = ollama();
  for (const std::string good :
       {"http://pi-4:11434", "https://models.lan/ollama/", "pi-4:11434", "http://[::1]:1/a@b"}) {
    settings.url = good;
    CHECK(refused(settings).empty());
  }
  settings.url = "https://me:geheim@models.lan/";
  CHECK(says(settings, "must not contain"));
  CHECK_FALSE(says(settings, "geheim"));
  for (const std::string bad : {"http://", "ftp://x", "http:///x"}) {
    settings.url = bad;
    CHECK(says(settings, "is not of the form"));
  }
}

TEST_CASE("Ollama's models have the names of its list, others the configured names") {
  auto settings = ollama();
  settings.models = {"tinyllama", "library/m:7b"};
  CHECK(Config::check(settings)->models == std::vector<std::string>{"tinyllama:latest", "m:7b"});
  settings.provider = "openai";
  settings.url = "http://127.0.0.1:8080";
  CHECK(Config::check(settings)->models == settings.models);
}

TEST_CASE("the models to pull, the registry and the folder are checked at the start") {
  auto settings = ollama();
  settings.pull = {"by-memory", "deepseek-coder:1.3b", "hf.co/someone/thing:Q4"};
  CHECK(refused(settings).empty());
  settings.pull_hosts = {"hf.co", "10.0.0.5:5000"};
  CHECK(Config::check(settings)->pull_hosts == settings.pull_hosts);
  for (const char* bad : {"", "https://hf.co", "hf.co/someone", "hf.co:", "a b"}) {
    settings.pull_hosts = {bad};
    CHECK(says(settings, "is not HOST or HOST:PORT"));
  }
  settings.pull_hosts = {};
  settings.pull = {"no such name"};
  CHECK(says(settings, "pull: \"no such name\" is not the name of a model"));
  settings = ollama();
  settings.registry = "ftp://x";
  CHECK(says(settings, "registry \"ftp://x\""));
  settings = ollama();
  settings.models_dir = "models";
  CHECK(says(settings, "models_dir must be an absolute path"));
}

TEST_CASE("seconds of keep_alive are a number for Ollama, and nonsense is refused at the start") {
  auto settings = ollama();
  const std::vector<std::pair<const char*, const char*>> good = {{"", ""},
                                                                 {"-1", "-1"},
                                                                 {"0", "0"},
                                                                 {"300", "300"},
                                                                 {"10m", "\"10m\""},
                                                                 {"-1m", "\"-1m\""},
                                                                 {"1.5h", "\"1.5h\""},
                                                                 {"1h30m", "\"1h30m\""},
                                                                 {"250ms", "\"250ms\""}};
  for (const auto& [text, json] : good) {
    settings.keep_alive = text;
    const auto config = Config::check(settings);
    REQUIRE(config);
    CHECK(config->keep_alive == json);
  }
  for (const char* bad : {"ten minutes", "5x", "m", "1.5", "-", "5 m", "1h30", "99999999999999999999", "1..5h"}) {
    INFO(bad);
    settings.keep_alive = bad;
    CHECK(says(settings, "neither a duration"));
  }
}
