#include "edge-agent/executors/llm/executor.hpp"

#include <algorithm>
#include <map>

#include "common/core/listed_model.hpp"
#include "common/core/nearest.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "edge-agent/executors/llm/api_key.hpp"
#include "edge-agent/executors/llm/model_name.hpp"
#include "edge-agent/executors/llm/refusal.hpp"
#include "edge-agent/executors/llm/request.hpp"
#include "edge-agent/executors/outcome.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration listing_timeout = std::chrono::seconds(10);
constexpr Duration default_rest = std::chrono::seconds(10);  // rate limited, without a given duration
constexpr Duration rest_after_refused_key = std::chrono::minutes(1);
constexpr std::size_t most_models = 256;  // the maximum of a message
constexpr Duration soon = std::chrono::minutes(1);  // short enough for the model endpoints to wait

const Capability& capability_of(RequestKind kind) {
  static const std::array all = {*Capability::parse("llm.chat"), *Capability::parse("llm.generate"),
                                 *Capability::parse("llm.embed")};
  return all.at(static_cast<std::size_t>(kind));
}

std::optional<RequestKind> kind_of(const Capability& capability) {
  for (const RequestKind kind : {RequestKind::chat, RequestKind::generate, RequestKind::embed}) {
    if (capability == capability_of(kind)) return kind;
  }
  return std::nullopt;
}

std::string cut_problem(const std::string& problem) {
  const std::string text = valid_utf8(problem);
  return std::string(cut_front(text, most_problem_bytes));
}

std::string seconds_text(Duration d) { return std::to_string(std::max<std::int64_t>(1, to_ms(d) / 1000)) + " s"; }

http::Peer peer_of(const Config& config) {
  return {"the back end",
          "is " +
              std::string(config.provider == ProviderKind::openai ? "the model server" : to_string(config.provider)) +
              " running there?"};
}

}  // namespace

LlmExecutor::LlmExecutor(Config config, std::shared_ptr<Ledger> ledger, Log log, std::shared_ptr<Lookout> lookout)
    : config_(std::move(config)),
      ledger_(std::move(ledger)),
      log_(std::move(log)),
      lookout_(std::move(lookout)),
      provider_(make_provider(config_)),
      client_(config_.url, peer_of(config_)) {}

LlmExecutor::~LlmExecutor() {
  if (looking_.joinable()) {
    looking_.request_stop();
    looking_.join();
  }
  ledger_->keep(true);
}

// ---- what it offers

void LlmExecutor::start(OnOffer on_offer) {
  on_offer_ = std::move(on_offer);
  looking_ = std::jthread([this](const std::stop_token& stop) { keep_looking(stop); });
}

std::map<Capability, JsonText> LlmExecutor::parameters() const {
  std::map<Capability, JsonText> all;
  for (const RequestKind kind : provider_->kinds()) all[capability_of(kind)] = request_schema(kind, config_.provider);
  return all;
}

void LlmExecutor::keep_looking(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    std::string trouble;
    auto info = look(stop, trouble);
    if (stop.stop_requested()) return;
    const bool well = info.problem.empty();
    offer(std::move(info));
    lookout_->looked(trouble);
    ledger_->keep(false);
    lookout_->pause(stop, pause_after(well));
  }
}

Duration LlmExecutor::pause_after(bool well) const {
  const std::lock_guard lock(mutex_);
  if (rest_) {
    return std::clamp<Duration>(rest_->until - monotonic_now(), std::chrono::milliseconds(10), config_.refresh);
  }
  // An unavailable back end is checked more often: it is usually just starting.
  return well ? config_.refresh : std::min<Duration>(config_.refresh, std::chrono::seconds(3));
}

ExecutorInfo LlmExecutor::look(const std::stop_token& stop, std::string& trouble) {
  ExecutorInfo info;
  info.name = config_.executor;
  info.provider = to_string(config_.provider);
  for (const RequestKind kind : provider_->kinds()) info.capabilities.push_back(capability_of(kind));
  info.slots = config_.slots;
  info.models = config_.models;
  {
    const std::lock_guard lock(mutex_);
    if (rest_ && rest_->until <= monotonic_now()) rest_.reset();
    if (const auto over = ledger_->exhausted(config_.budget); over && !rest_) rest_ = rest_for(*over);
    if (rest_) {
      if (info.models.empty() && offered_) info.models = offered_->models;
      info.problem = trouble = cut_problem(rest_->why);
      info.rests = rest_->passes;
      return info;
    }
  }
  const auto key = read_key(config_);
  if (!key) {
    info.problem = trouble = cut_problem(key.error().message);
    return info;
  }
  Listing listing;
  if (auto listed = list(listing, *key, stop); !listed) {
    info.problem = trouble = cut_problem(listed.error().message);
    return info;
  }
  const auto wanted = [&](const std::string& model) {
    return config_.models.empty() || std::count(config_.models.begin(), config_.models.end(), model) > 0;
  };
  const auto only_wanted = [&](const std::vector<std::string>& all) {
    std::vector<std::string> some;
    std::copy_if(all.begin(), all.end(), std::back_inserter(some), wanted);
    std::sort(some.begin(), some.end());
    some.resize(std::min(some.size(), most_models));
    return some;
  };
  info.models = only_wanted(listing.models);
  info.loaded_models = only_wanted(listing.loaded);
  if (info.models.empty()) {
    info.problem = config_.models.empty() ? "the back end has no model yet"
                                          : cut_problem("the back end has none of the configured models");
  }
  return info;
}

Status LlmExecutor::list(Listing& listing, const std::string& key, const std::stop_token& stop) {
  http::Options options;
  options.connect_timeout = config_.connect_timeout;
  options.timeout = listing_timeout;
  options.most_bytes = std::size_t{4} << 20U;
  options.stop = stop;
  const auto paths = provider_->listing_paths();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const auto response = client_.send({http::Method::get, paths[i], provider_->headers(key)}, options);
    if (!response) return response.error();
    if (!response->ok()) {
      TaskError refusal = refusal_of(response->status, response->body, response->retry_after);
      refusal.message = without_key(std::move(refusal.message), key);
      react_to(refusal);
      return Error{refusal.message, ErrorKind::unavailable};
    }
    if (!json::well_formed(response->body)) return Error{"the back end's list of models is not JSON"};
    if (const auto error = error_in(response->body)) {
      return Error{without_key(error->message, key), ErrorKind::unavailable};
    }
    provider_->read_listing(i, Json::parse(response->body, nullptr, false), listing);
  }
  return success();
}

void LlmExecutor::offer(ExecutorInfo info) {
  {
    const std::lock_guard lock(mutex_);
    if (offered_ == info) return;
    if (info.problem != (offered_ ? offered_->problem : "")) {
      log_(info.problem.empty() ? log::Level::info : log::Level::warning,
           config_.executor.str() + ": " + (info.problem.empty() ? "in service" : info.problem));
    }
    offered_ = info;
  }
  on_offer_(std::move(info));
}

// A key that was refused may have been changed.
void LlmExecutor::reload() {
  {
    const std::lock_guard lock(mutex_);
    if (rest_ && rest_->key_refused) rest_.reset();
  }
  lookout_->look_again();
}

// A model that answers is loaded: if it was not listed as loaded, the list is refreshed.
void LlmExecutor::expect_loaded(const std::string& model) {
  {
    const std::lock_guard lock(mutex_);
    if (offered_ && std::count(offered_->loaded_models.begin(), offered_->loaded_models.end(), model) > 0) return;
  }
  lookout_->look_again();
}

// ---- a task

RunOutcome LlmExecutor::run(const Job& job, std::stop_token stop, const OnProgress& on_progress) {
  return without_exceptions([&]() -> RunOutcome {
    const auto kind = kind_of(job.capability);
    if (!kind) return failed("bad_input", job.capability.str() + " is not offered here", false);
    auto request = check_request(*kind, config_.provider, job.input);
    if (!request) return failed_by(request.error());
    const auto model = named_here(Members(*request).text("model"));
    if (auto no = check_model(model)) return {"null", std::move(no), {}};
    *request = json::with(Members(*request).all(), "model", json::quoted(model));
    if (auto no = admit()) return {"null", std::move(no), {}};
    auto outcome = ask_backend(*kind, *request, job, stop, on_progress);
    if (stop.stop_requested() && outcome.error) return cancelled_outcome();
    return outcome;
  });
}

// As the back end lists it; a name that it does not list goes to it without the provider's name.
std::string LlmExecutor::named_here(const std::string& model) const {
  const std::string_view provider = to_string(config_.provider);
  const std::lock_guard lock(mutex_);
  if (const auto* listed = offered_ ? listed_model(offered_->models, provider, model) : nullptr) return *listed;
  const std::string prefix = std::string(provider) + "/";
  return model.starts_with(prefix) ? model.substr(prefix.size()) : model;
}

// Some servers answer with the model that they have, whatever model is named. Ollama refuses an unknown one itself, and
// may have got one since its list was read.
std::optional<TaskError> LlmExecutor::check_model(const std::string& model) {
  std::vector<std::string> models = config_.models;
  if (models.empty() && config_.provider != ProviderKind::ollama) {
    const std::lock_guard lock(mutex_);
    if (offered_ && offered_->models.size() < most_models) models = offered_->models;
  }
  const auto here = [&](const std::string& name) { return std::count(models.begin(), models.end(), name) > 0; };
  const auto listed = ModelName::parse(model);  // with its tag, as in Ollama's list
  if (models.empty() || here(model) || (listed && here(listed->listed()))) return std::nullopt;
  lookout_->look_again();
  const auto near = nearest(model, models);
  return TaskError{"model_not_found",
                   "the model \"" + std::string(cut_front(model, 200)) + "\" is not offered here" +
                       (near ? "; did you mean \"" + *near + "\"?" : ""),
                   true,
                   {}};
}

LlmExecutor::Rest LlmExecutor::rest_for(const Exhausted& over) {
  return {monotonic_now() + over.wait,
          "the budget of " + over.what + " is used up; available again in " + seconds_text(over.wait), false,
          over.wait <= soon};
}

// The pause applies to this executor only: a task that it cannot accept goes elsewhere at once.
std::optional<TaskError> LlmExecutor::admit() {
  const std::lock_guard lock(mutex_);
  if (!rest_ || rest_->until <= monotonic_now()) {
    const auto over = ledger_->take_request(config_.budget);
    if (!over) return std::nullopt;
    rest_ = rest_for(*over);
    lookout_->look_again();
  }
  return TaskError{"rate_limited", rest_->why, true, {}};
}

RunOutcome LlmExecutor::ask_backend(RequestKind kind, const JsonText& request, const Job& job,
                                    const std::stop_token& stop, const OnProgress& on_progress) {
  const auto encoded = provider_->encode(kind, request);
  if (!encoded) return failed_by(encoded.error());
  const auto key = read_key(config_);
  if (!key) return failed("unauthorized", key.error().message, true);
  const auto model = Members(request).text("model");
  std::map<Channel, std::uint64_t> told;
  const auto on_part = [&](std::string_view text, Channel channel) {
    if (told.empty()) expect_loaded(model);
    std::uint64_t& at = told[channel];
    on_progress({-1, std::string(text), channel, at});
    at += text.size();
  };
  // Each turn of a conversation is a task, so its id makes the ids of calls unique among all turns.
  Answer answer(on_part, {"call_" + job.id.str(), call_ids_of(request), functions_of(request)});
  answer.set_model(model);
  answer.set_most_bytes(job.most_output_bytes);
  if (!encoded->forced_call.empty()) answer.expect_call(encoded->forced_call);
  if (kind == RequestKind::embed) answer.expect_embeddings(inputs_of(request));
  const Patience patience{config_.connect_timeout, config_.first_token_timeout, config_.token_timeout, job.timeout};
  const ExchangeReport report = ask(client_, *provider_, kind, *encoded, *key, patience, stop, answer);
  if (report.exhausted_for)
    rest(*report.exhausted_for,
         "the provider's limit is reached; available again in " + seconds_text(*report.exhausted_for));
  RunOutcome outcome;
  outcome.usage = settle(answer, report);
  if (answer.error()) {
    outcome.error = answer.error();
    outcome.error->message = without_key(std::move(outcome.error->message), *key);
    react_to(*outcome.error);
    if (outcome.error->code == "rate_limited") outcome.error->retry_after.reset();  // as in admit()
    return outcome;
  }
  outcome.output = answer.output(kind);
  return bounded(std::move(outcome), job.most_output_bytes);
}

// The effect of a refusal on later requests.
void LlmExecutor::react_to(const TaskError& error) {
  if (error.code == "rate_limited") {
    const Duration wait = error.retry_after.value_or(default_rest);
    rest(wait, "the provider asks for a pause of " + seconds_text(wait) + ": " + error.message);
  } else if (error.code == "unauthorized") {
    rest(rest_after_refused_key, "the key is refused: " + error.message, true);
  } else if (error.code == "backend_unavailable" || error.code == "model_not_found") {
    lookout_->look_again();  // it may have disappeared
  }
}

void LlmExecutor::rest(Duration wait, const std::string& why, bool key_refused) {
  {
    const std::lock_guard lock(mutex_);
    const Time until = monotonic_now() + wait;
    if (rest_ && rest_->until >= until) return;
    rest_ = Rest{until, why, key_refused, !key_refused && wait <= soon};
  }
  lookout_->look_again();
}

// Usage in the form of a result: OpenAI's counts, and the time and the price.
std::string LlmExecutor::settle(const Answer& answer, const ExchangeReport& report) {
  const Usage usage = answer.usage.value_or(Usage{});
  const auto total = usage.prompt_tokens + usage.completion_tokens;
  ledger_->count_tokens(config_.budget, static_cast<std::uint64_t>(total));
  ledger_->keep(false);
  if (!answer.usage) return {};
  Json json = {{"prompt_tokens", usage.prompt_tokens},
               {"completion_tokens", usage.completion_tokens},
               {"total_tokens", total},
               {"first_token_ms", to_ms(report.first_token)}};
  if (usage.cached_tokens) json["prompt_tokens_details"] = {{"cached_tokens", *usage.cached_tokens}};
  if (usage.reasoning_tokens) json["completion_tokens_details"] = {{"reasoning_tokens", *usage.reasoning_tokens}};
  if (usage.load_ms) json["load_ms"] = *usage.load_ms;
  if (usage.prompt_ms) json["prompt_ms"] = *usage.prompt_ms;
  const double generating_ms =
      usage.completion_ms.value_or(static_cast<double>(to_ms(report.whole - report.first_token)));
  if (generating_ms > 0 && usage.completion_tokens > 0) {
    json["tokens_per_second"] = static_cast<double>(usage.completion_tokens) / generating_ms * 1000;
  }
  const double cost = (static_cast<double>(usage.prompt_tokens) * config_.price_prompt +
                       static_cast<double>(usage.completion_tokens) * config_.price_completion) /
                      1e6;
  if (cost > 0) json["cost_usd"] = cost;
  return json.dump();
}

}  // namespace edgefleet::agent::llm
