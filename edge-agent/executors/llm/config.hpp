// `[[llm]]` of an agent's configuration. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/core/ids.hpp"
#include "common/core/result.hpp"
#include "common/core/time.hpp"

namespace edgefleet::agent::llm {

enum class ProviderKind { ollama, openai, groq, gemini };
std::string_view to_string(ProviderKind kind);

// As written in the file. 0 if a number is not set.
struct Settings {
  std::string name;      // default: the provider's
  std::string provider;  // ollama, openai (llama.cpp, vLLM and compatible servers), groq, gemini
  std::string url;       // default: the provider's address; openai has none
  std::vector<std::string> models;  // empty: all of the server; required for a cloud provider
  std::int64_t slots = 1;
  std::string api_key_file;
  std::string api_key_env;  // name of an environment variable
  std::int64_t connect_timeout_s = 10;
  std::int64_t first_token_timeout_s = 300;  // includes loading a model and processing a long prompt
  std::int64_t token_timeout_s = 60;         // between two tokens
  std::int64_t refresh_s = 30;               // interval of looking up the models
  // Ollama
  std::int64_t num_ctx = 4096;  // fits into 8 GB with a model of 7 billion parameters
  std::int64_t num_thread = 0;
  std::string keep_alive;
  std::string registry;           // source of the sizes of models; default: Ollama's own
  std::string models_dir;         // its folder of models, if it is on this machine; default: searched
  std::vector<std::string> pull;  // models that are downloaded at the start if absent
  std::vector<std::string> pull_hosts;  // HOST or HOST:PORT that tasks may name, other than Ollama's own registry
  // Budgets of the owner
  std::int64_t requests_per_minute = 0;
  std::int64_t requests_per_day = 0;
  std::int64_t tokens_per_day = 0;
  // US dollars per million tokens
  std::optional<double> price_prompt;
  std::optional<double> price_completion;
};

struct Budget {
  std::uint64_t requests_per_minute = 0;  // 0: no limit
  std::uint64_t requests_per_day = 0;
  std::uint64_t tokens_per_day = 0;
  [[nodiscard]] bool any() const { return requests_per_minute + requests_per_day + tokens_per_day > 0; }
  friend bool operator==(const Budget&, const Budget&) = default;
};

struct Config {
  static Result<Config> check(const Settings& settings);

  ExecutorName executor;  // llm-<name>
  ProviderKind provider = ProviderKind::openai;
  std::string url;
  std::vector<std::string> models;
  int slots = 1;
  std::string api_key_file;
  std::string api_key_env;
  Duration connect_timeout{};
  Duration first_token_timeout{};
  Duration token_timeout{};
  Duration refresh{};
  std::int64_t num_ctx = 0;
  std::int64_t num_thread = 0;
  std::string keep_alive;  // JSON; empty: Ollama's default
  std::optional<ExecutorName> keeper;  // <executor>-models: fetches and removes models; only for Ollama
  std::string registry;
  std::string models_dir;
  std::vector<std::string> pull;
  std::vector<std::string> pull_hosts;
  Budget budget;
  double price_prompt = 0;
  double price_completion = 0;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace edgefleet::agent::llm
