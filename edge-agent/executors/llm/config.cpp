#include "edge-agent/executors/llm/config.hpp"

#include <array>

#include "common/core/utf8.hpp"
#include "common/http/url.hpp"
#include "edge-agent/executors/llm/keep_alive.hpp"
#include "edge-agent/executors/llm/model_name.hpp"

namespace edgefleet::agent::llm {
namespace {

struct Place {
  ProviderKind kind;
  std::string_view name;
  std::string_view url;  // default address
  bool cloud;            // needs a key and a list of models
};
constexpr std::array<Place, 4> places = {{
    {ProviderKind::ollama, "ollama", "http://127.0.0.1:11434", false},
    {ProviderKind::openai, "openai", "", false},
    {ProviderKind::groq, "groq", "https://api.groq.com/openai", true},
    {ProviderKind::gemini, "gemini", "https://generativelanguage.googleapis.com", true},
}};

constexpr std::string_view own_registry = "https://registry.ollama.ai";

const Place* place_of(const std::string& provider) {
  for (const Place& place : places) {
    if (place.name == provider) return &place;
  }
  return nullptr;
}

Status check_numbers(const Settings& s) {
  constexpr std::int64_t day = 24 * 3600;
  const auto seconds = [](std::int64_t value) { return value >= 1 && value <= day; };
  if (s.slots < 1 || s.slots > 1024) return invalid("slots must be from 1 to 1024");
  if (!seconds(s.connect_timeout_s) || !seconds(s.first_token_timeout_s) || !seconds(s.token_timeout_s) ||
      !seconds(s.refresh_s)) {
    return invalid("connect_timeout_s, first_token_timeout_s, token_timeout_s and refresh_s must be from 1 to 86400");
  }
  if (s.num_ctx < 0 || s.num_ctx > (1 << 24)) return invalid("num_ctx must be from 0 to 16777216");
  if (s.num_thread < 0 || s.num_thread > 1024) return invalid("num_thread must be from 0 to 1024");
  if (s.requests_per_minute < 0 || s.requests_per_day < 0 || s.tokens_per_day < 0) {
    return invalid("requests_per_minute, requests_per_day and tokens_per_day must not be negative");
  }
  const auto price = [](std::optional<double> dollars) { return dollars.value_or(0) >= 0; };  // also refuses NaN
  if (!price(s.price_prompt) || !price(s.price_completion)) return invalid("a price must not be negative");
  return success();
}

// Settings for Ollama only.
Status check_models(const Settings& s, ProviderKind kind) {
  if (kind != ProviderKind::ollama) {
    if (s.registry.empty() && s.models_dir.empty() && s.pull.empty() && s.pull_hosts.empty()) return success();
    return invalid("registry, models_dir, pull and pull_hosts are for provider ollama only");
  }
  if (!s.registry.empty() && !http::is_server(s.registry)) {
    return invalid("registry \"" + s.registry + "\" is not of the form https://HOST");
  }
  if (!s.models_dir.empty() && s.models_dir.front() != '/') return invalid("models_dir must be an absolute path");
  if (s.pull.size() > 64) return invalid("pull names at most 64 models");
  if (s.pull_hosts.size() > 64) return invalid("pull_hosts names at most 64 hosts");
  for (const auto& host : s.pull_hosts) {
    const auto name = ModelName::parse(host + "/any/model");
    if (!name) return invalid("pull_hosts: \"" + std::string(cut_front(host, 100)) + "\" is not HOST or HOST:PORT");
  }
  for (const auto& model : s.pull) {
    if (model == by_memory) continue;
    if (const auto name = ModelName::parse(model); !name) return invalid("pull: " + name.error().message);
  }
  return success();
}

// In the form of Ollama's list: a name without a tag would not match.
std::vector<std::string> listed_names(std::vector<std::string> models) {
  for (auto& model : models) {
    if (const auto name = ModelName::parse(model)) model = name->listed();
  }
  return models;
}

// Every error would show a user name and a password in it.
Status check_url(const std::string& url) {
  if (url.empty()) return success();
  const std::string base = http::normal_base(url);
  const auto host = base.find("://") == std::string::npos ? 0 : base.find("://") + 3;
  if (base.substr(host, base.find('/', host) - host).find('@') != std::string::npos) {
    return invalid("url must not contain a user name or a password: set the key with api_key_file");
  }
  if (!http::is_server(url))
    return invalid("url \"" + std::string(cut_front(url, 100)) + "\" is not of the form http://HOST:PORT");
  return success();
}

std::uint64_t natural(std::int64_t number) { return static_cast<std::uint64_t>(number); }

}  // namespace

std::string_view to_string(ProviderKind kind) {
  for (const Place& place : places) {
    if (place.kind == kind) return place.name;
  }
  return "";
}

Result<Config> Config::check(const Settings& s) {
  const Place* place = place_of(s.provider);
  const std::string name = s.name.empty() ? s.provider : s.name;
  const std::string where = "llm '" + name + "'";
  if (place == nullptr) return invalid(where + ": provider must be ollama, openai, groq or gemini");
  const auto executor = ExecutorName::parse("llm-" + name);
  if (!executor) return invalid(where + ": the name must be of a-z, 0-9 and '-', and at most 59 characters long");
  if (s.url.empty() && place->url.empty()) return invalid(where + ": url is missing: http://HOST:PORT of the server");
  if (!s.api_key_file.empty() && !s.api_key_env.empty()) {
    return invalid(where + ": set api_key_file or api_key_env, not both");
  }
  if (place->cloud && s.api_key_file.empty() && s.api_key_env.empty()) {
    return invalid(where + ": api_key_file or api_key_env is missing; " + s.provider + " requires a key");
  }
  if (place->cloud && s.models.empty()) {
    return invalid(where + ": models is missing: list the models of " + s.provider + " to offer");
  }
  if (auto url = check_url(s.url); !url) return url.error().context(where);
  if (s.models.size() > 256) return invalid(where + ": at most 256 models");
  if (auto numbers = check_numbers(s); !numbers) return numbers.error().context(where);
  if (auto models = check_models(s, place->kind); !models) return models.error().context(where);
  if (const auto good = keep_alive_json(s.keep_alive); !good && !s.keep_alive.empty()) {
    return good.error().context(where);
  }
  const auto keeper = ExecutorName::parse(executor->str() + "-models");
  if (place->kind == ProviderKind::ollama && !keeper) {
    return invalid(where + ": the name must be at most 52 characters long");
  }
  Config config;
  config.executor = *executor;
  config.provider = place->kind;
  config.url = s.url.empty() ? std::string(place->url) : s.url;
  config.models = place->kind == ProviderKind::ollama ? listed_names(s.models) : s.models;
  config.slots = static_cast<int>(s.slots);
  config.api_key_file = s.api_key_file;
  config.api_key_env = s.api_key_env;
  config.connect_timeout = std::chrono::seconds(s.connect_timeout_s);
  config.first_token_timeout = std::chrono::seconds(s.first_token_timeout_s);
  config.token_timeout = std::chrono::seconds(s.token_timeout_s);
  config.refresh = std::chrono::seconds(s.refresh_s);
  config.num_ctx = s.num_ctx;
  config.num_thread = s.num_thread;
  if (!s.keep_alive.empty()) config.keep_alive = *keep_alive_json(s.keep_alive);
  if (place->kind == ProviderKind::ollama) config.keeper = keeper;
  config.registry = s.registry.empty() ? std::string(own_registry) : s.registry;
  config.models_dir = s.models_dir;
  config.pull = s.pull;
  config.pull_hosts = s.pull_hosts;
  config.budget = {natural(s.requests_per_minute), natural(s.requests_per_day), natural(s.tokens_per_day)};
  config.price_prompt = s.price_prompt.value_or(0);
  config.price_completion = s.price_completion.value_or(0);
  return config;
}

}  // namespace edgefleet::agent::llm
