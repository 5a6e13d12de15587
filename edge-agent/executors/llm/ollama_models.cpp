#include "edge-agent/executors/llm/ollama_models.hpp"

#include "common/core/line_reader.hpp"
#include "common/protocol/json.hpp"
#include "edge-agent/executors/llm/api_key.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration registry_timeout = std::chrono::seconds(10);
constexpr std::size_t most_manifest_bytes = std::size_t{4} << 20U;
constexpr std::size_t most_answer_bytes = std::size_t{4} << 20U;
constexpr std::size_t longest_line = std::size_t{1} << 20U;
// Ollama tries a network again by itself and tells the same numbers meanwhile; it is silent while it checks the digest
// of what came, for minutes on an SD card.
constexpr Duration longest_standstill = std::chrono::minutes(30);

TaskError unavailable(const std::string& message) { return {"backend_unavailable", message, true, {}}; }

}  // namespace

// Watches a call's time, and says so in its own words if that is what ended it.
class OllamaModels::Clock {
 public:
  explicit Clock(Duration timeout) : timeout_(timeout) {}

  void moved() { moved_ = monotonic_now(); }
  Status watch() {
    const Time now = monotonic_now();
    if (now - began_ > timeout_) {
      failure_ = TaskError{"timed_out", "not finished within " + exact_duration(timeout_), true, {}};
    } else if (now - moved_ > longest_standstill) {
      failure_ = TaskError{"backend_timed_out",
                           "Ollama has not come any further for " + exact_duration(longest_standstill), true, {}};
    }
    return failure_ ? Status(Error{failure_->message, ErrorKind::unavailable}) : success();
  }
  [[nodiscard]] const Failure& failure() const { return failure_; }

 private:
  Duration timeout_;
  Time began_ = monotonic_now();
  Time moved_ = began_;
  Failure failure_;
};

OllamaModels::OllamaModels(const Config& config)
    : config_(config),
      provider_(make_provider(config)),
      ollama_(config.url, {"Ollama", "is it running there?"}),
      registry_(config.registry, {"the registry of models", "is this machine on the internet?"}) {}

Result<http::Headers> OllamaModels::headers() const {
  const auto key = read_key(config_);
  if (!key) return key.error();
  return provider_->headers(*key);
}

OllamaModels::Failure OllamaModels::call(const http::Request& request, const Limits& limits, Json& answer) {
  auto with_key = headers();
  if (!with_key) return TaskError{"unauthorized", with_key.error().message, true, {}};
  Clock clock(limits.timeout);
  http::Options options;
  options.connect_timeout = config_.connect_timeout;
  options.timeout = Duration{0};
  options.most_bytes = most_answer_bytes;
  options.stop = limits.stop;
  options.watch = [&] { return clock.watch(); };
  const auto response =
      ollama_.send({request.method, request.path, std::move(*with_key), request.body}, options);
  if (clock.failure()) return clock.failure();
  if (!response) return unavailable(response.error().message);
  if (!response->ok()) return model_error(response->status, response->body, response->retry_after);
  answer = json::well_formed(response->body) ? Json::parse(response->body, nullptr, false) : Json();
  if (const auto error = text_at(answer, "error"); !error.empty()) return model_error(error);
  return std::nullopt;
}

OllamaModels::Failure OllamaModels::pull(const ModelName& model, PullProgress& progress, const Limits& limits,
                                         const std::function<Failure(const PullProgress&)>& on_progress) {
  auto with_key = headers();
  if (!with_key) return TaskError{"unauthorized", with_key.error().message, true, {}};
  const std::string body = Json{{"model", model.listed()}, {"stream", true}}.dump();
  Clock clock(limits.timeout);
  Failure refused;
  LineReader lines(longest_line, LineReader::Overlong::drop);
  const auto take_line = [&](std::string_view line) {
    if (line.empty() || refused || progress.error() || !json::well_formed(line)) return;
    const auto before = std::pair(progress.status(), progress.completed());
    progress.take(Json::parse(line, nullptr, false));
    if (before != std::pair(progress.status(), progress.completed())) clock.moved();
    if (!progress.error()) refused = on_progress(progress);
  };
  http::Options options;
  options.connect_timeout = config_.connect_timeout;
  options.timeout = Duration{0};
  options.stop = limits.stop;
  options.watch = [&] { return clock.watch(); };
  const auto response = ollama_.send({http::Method::post, "/api/pull", std::move(*with_key), body}, options,
                                     [&](std::string_view bytes) {
                                       lines.feed(bytes, take_line);
                                       return refused || progress.error() ? Status(Error{"enough"}) : success();
                                     });
  if (refused) return refused;
  if (clock.failure()) return clock.failure();
  if (progress.complete()) return std::nullopt;
  if (!response && !progress.error()) return unavailable(response.error().message);
  if (response && !response->ok()) return model_error(response->status, response->body, response->retry_after);
  lines.finish(take_line);
  if (progress.error()) return progress.error();
  if (progress.complete()) return std::nullopt;
  return unavailable("Ollama's answer broke off");
}

OllamaModels::Failure OllamaModels::remove(const ModelName& model, const Limits& limits) {
  Json answer;
  const std::string body = Json{{"model", model.listed()}}.dump();
  return call({http::Method::remove, "/api/delete", {}, body}, limits, answer);
}

OllamaModels::Failure OllamaModels::load(const ModelName& model, const Json& keep_alive, const Limits& limits,
                                         std::int64_t& load_ms) {
  Json body = {{"model", model.listed()}, {"stream", false}};
  if (!keep_alive.is_null()) {
    body["keep_alive"] = keep_alive;
  } else if (!config_.keep_alive.empty()) {
    body["keep_alive"] = config_.keep_alive;
  }
  // Those of the chats: with others Ollama would load it once more at the first of them.
  if (config_.num_ctx > 0) body["options"]["num_ctx"] = config_.num_ctx;
  if (config_.num_thread > 0) body["options"]["num_thread"] = config_.num_thread;
  Json answer;
  const std::string text = body.dump();
  auto failure = call({http::Method::post, "/api/generate", {}, text}, limits, answer);
  load_ms = count_at(answer, "load_duration").value_or(0) / 1'000'000;
  return failure;
}

OllamaModels::Failure OllamaModels::list(Listing& listing, const Limits& limits) {
  const auto paths = provider_->listing_paths();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    Json answer;
    if (auto failure = call({http::Method::get, paths[i]}, limits, answer)) return failure;
    provider_->read_listing(i, answer, listing);
  }
  return std::nullopt;
}

Result<Manifest> OllamaModels::manifest(const ModelName& model, const std::stop_token& stop) {
  // A name with a host makes Ollama ask that host; we call nobody whom a task names.
  if (!model.host.empty()) return Error{"models of " + model.host + " are not looked up"};
  http::Options options;
  options.connect_timeout = config_.connect_timeout;
  options.timeout = registry_timeout;
  options.most_bytes = most_manifest_bytes;
  options.stop = stop;
  const http::Headers headers = {{"Accept", "application/vnd.docker.distribution.manifest.v2+json"}};
  const auto response = registry_.send({http::Method::get, model.manifest_path(), headers}, options);
  if (!response) return response.error();
  if (!response->ok()) return Error{"the registry answered " + std::to_string(response->status)};
  auto manifest = read_manifest(response->body);
  if (!manifest) return Error{"what the registry sent is not a manifest"};
  return std::move(*manifest);
}

}  // namespace edgefleet::agent::llm
