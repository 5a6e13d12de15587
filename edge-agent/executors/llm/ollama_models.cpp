#include "edge-agent/executors/llm/ollama_models.hpp"

#include "common/core/line_reader.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/llm/api_key.hpp"
#include "edge-agent/executors/llm/load_options.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration registry_timeout = std::chrono::seconds(10);
constexpr std::size_t most_manifest_bytes = std::size_t{4} << 20U;
constexpr std::size_t most_answer_bytes = std::size_t{4} << 20U;
constexpr std::size_t longest_line = std::size_t{1} << 20U;
// Ollama itself retries after network errors and repeats the same numbers meanwhile; it sends nothing while it checks
// the digest of a download, which takes minutes on an SD card.
constexpr Duration longest_standstill = std::chrono::minutes(30);

TaskError unavailable(const std::string& message) { return {"backend_unavailable", message, true, {}}; }

}  // namespace

// Enforces the timeouts of a call, and reports a timeout that ended it.
class OllamaModels::Clock {
 public:
  explicit Clock(Duration timeout) : timeout_(timeout) {}

  void moved() { moved_ = monotonic_now(); }
  Status watch() {
    const Time now = monotonic_now();
    if (now - began_ > timeout_) {
      failure_ = TaskError{"timed_out", "not finished within " + exact_duration(timeout_), true, {}};
    } else if (now - moved_ > longest_standstill) {
      failure_ = TaskError{
          "backend_timed_out", "Ollama has made no progress for " + exact_duration(longest_standstill), true, {}};
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
      registry_(config.registry, {"the registry of models", "does this machine have internet access?"}) {}

Result<http::Headers> OllamaModels::headers() const {
  const auto key = read_key(config_);
  if (!key) return key.error();
  return provider_->headers(*key);
}

http::Options OllamaModels::options_for(const Limits& limits, Clock& clock) const {
  http::Options options;
  options.connect_timeout = config_.connect_timeout;
  options.timeout = Duration{0};  // the timeout is enforced by the clock
  options.most_bytes = most_answer_bytes;
  options.stop = limits.stop;
  options.watch = [&clock] { return clock.watch(); };
  return options;
}

OllamaModels::Failure OllamaModels::call(const http::Request& request, const Limits& limits, Json& answer) {
  auto with_key = headers();
  if (!with_key) return TaskError{"unauthorized", with_key.error().message, true, {}};
  Clock clock(limits.timeout);
  const auto response =
      ollama_.send({request.method, request.path, std::move(*with_key), request.body}, options_for(limits, clock));
  if (clock.failure()) return clock.failure();
  if (!response) return unavailable(response.error().message);
  if (!response->ok()) return model_error(response->status, response->body, response->retry_after);
  answer = json::well_formed(response->body) ? Json::parse(response->body, nullptr, false) : Json();
  if (const auto error = text_at(answer, "error"); !error.empty()) return model_error(error);
  return std::nullopt;
}

// The lines of a download: each updates the progress, or ends it.
class OllamaModels::Download {
 public:
  using OnProgress = std::function<Failure(const PullProgress&)>;
  Download(PullProgress& progress, Clock& clock, const OnProgress& on_progress)
      : progress_(progress), clock_(clock), on_progress_(on_progress) {}

  Status take(std::string_view bytes) {
    lines_.feed(bytes, [this](std::string_view line) { take_line(line); });
    if (lines_.take_overlong() > 0) fail_with("Ollama sent a line without an end");
    return failure_ ? Status(Error{failure_->message, ErrorKind::unavailable}) : success();
  }
  Status watch() {
    if (auto in_time = clock_.watch(); !in_time) return in_time;
    failure_ = on_progress_(progress_);
    return failure_ ? Status(Error{failure_->message, ErrorKind::unavailable}) : success();
  }
  void finish() {
    lines_.finish([this](std::string_view line) { take_line(line); });
  }
  [[nodiscard]] const Failure& failure() const { return failure_; }

 private:
  void fail_with(const std::string& message) { failure_ = TaskError{"bad_answer", message, true, {}}; }

  void take_line(std::string_view line) {
    if (line.empty() || failure_) return;
    if (!json::well_formed(line)) return fail_with("Ollama sent invalid JSON");
    const auto before = std::pair(progress_.status(), progress_.completed());
    progress_.take(Json::parse(line, nullptr, false));
    if (before != std::pair(progress_.status(), progress_.completed())) clock_.moved();
    failure_ = progress_.error() ? progress_.error() : on_progress_(progress_);
  }

  PullProgress& progress_;
  Clock& clock_;
  const OnProgress& on_progress_;
  LineReader lines_{longest_line, LineReader::Overlong::drop};
  Failure failure_;
};

OllamaModels::Failure OllamaModels::pull(const ModelName& model, PullProgress& progress, const Limits& limits,
                                         const std::function<Failure(const PullProgress&)>& on_progress) {
  auto with_key = headers();
  if (!with_key) return TaskError{"unauthorized", with_key.error().message, true, {}};
  const std::string body = Json{{"model", model.listed()}, {"stream", true}}.dump();
  Clock clock(limits.timeout);
  Download download(progress, clock, on_progress);
  auto options = options_for(limits, clock);
  options.watch = [&download] { return download.watch(); };
  const auto response = ollama_.send({http::Method::post, "/api/pull", std::move(*with_key), body}, options,
                                     [&](std::string_view bytes) { return download.take(bytes); });
  if (response && !response->ok()) return model_error(response->status, response->body, response->retry_after);
  if (response) download.finish();
  if (download.failure()) return download.failure();
  if (progress.complete()) return std::nullopt;  // a connection that breaks after that changes nothing
  if (clock.failure()) return clock.failure();
  return unavailable(response ? "Ollama's answer is incomplete" : response.error().message);
}

OllamaModels::Failure OllamaModels::remove(const ModelName& model, const Limits& limits) {
  Json answer;
  const std::string body = Json{{"model", model.listed()}}.dump();
  return call({http::Method::remove, "/api/delete", {}, body}, limits, answer);
}

OllamaModels::Failure OllamaModels::load(const ModelName& model, const Json& keep_alive, const Limits& limits) {
  Json body = {{"model", model.listed()}, {"stream", false}};
  if (!keep_alive.is_null()) {
    body["keep_alive"] = keep_alive;
  } else if (!config_.keep_alive.empty()) {
    body["keep_alive"] = Json::parse(config_.keep_alive);
  }
  if (auto options = load_options(config_); !options.empty()) body["options"] = std::move(options);
  Json answer;
  const std::string text = body.dump();
  return call({http::Method::post, "/api/generate", {}, text}, limits, answer);
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
  // A name with a host makes Ollama contact that host; the agent itself contacts no host that a task names.
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
  if (!manifest) return Error{"the registry's answer is not a manifest"};
  return std::move(*manifest);
}

}  // namespace edgefleet::agent::llm
