#include "edge-agent/executors/llm/model_keeper.hpp"

#include <algorithm>

#include "common/core/backoff.hpp"
#include "common/core/utf8.hpp"
#include "common/http/url.hpp"
#include "common/protocol/json.hpp"
#include "common/system/clock.hpp"
#include "common/system/entropy.hpp"
#include "edge-agent/executors/llm/keep_alive.hpp"
#include "edge-agent/executors/outcome.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr Duration progress_interval = std::chrono::seconds(1);
constexpr Duration repeat_interval = std::chrono::seconds(10);
constexpr Duration notice_interval = std::chrono::seconds(10);  // each is a message with the whole info of the agent
constexpr Duration look_patience = std::chrono::seconds(10);  // for the chat executor to see a change
constexpr Duration list_timeout = std::chrono::seconds(10);
constexpr Duration start_timeout = std::chrono::hours(24);  // of one download at the start
constexpr Backoff start_backoff{std::chrono::seconds(5), std::chrono::minutes(10)};

RunOutcome failed(const TaskError& error) { return agent::failed(error.code, error.message, error.retryable); }

RunOutcome done(const Json& output) { return {output.dump(), std::nullopt, {}}; }

Result<Json> read_keep_alive(const Json& value) {
  if (value.is_null() || value.is_number()) return value;
  if (!value.is_string()) return invalid("`keep_alive` must be a duration such as \"10m\", or seconds");
  const auto text = keep_alive_json(value.get<std::string>());
  if (!text) return text.error();
  return Json::parse(*text);
}

// Progress of a download, at most once per `interval`; unchanged progress is repeated at times for new readers.
class Seldom {
 public:
  explicit Seldom(Duration interval) : interval_(interval) {}
  bool due(std::string status, std::uint64_t completed) {
    const Time now = monotonic_now();
    auto what = std::pair(std::move(status), completed);
    if (last_ && now - *last_ < (what == said_ ? repeat_interval : interval_)) return false;
    last_ = now;
    said_ = std::move(what);
    return true;
  }

 private:
  Duration interval_;
  std::optional<Time> last_;
  std::pair<std::string, std::uint64_t> said_;
};

}  // namespace

ModelKeeper::ModelKeeper(Config config, std::uint64_t memory_bytes, std::shared_ptr<Lookout> lookout, Log log)
    : config_(std::move(config)),
      memory_bytes_(memory_bytes),
      local_(http::is_loopback(http::normal_base(config_.url))),
      folder_(local_ ? ModelsFolder::find(config_.models_dir) : std::string()),
      lookout_(std::move(lookout)),
      log_(std::move(log)),
      ollama_(config_) {}

ModelKeeper::~ModelKeeper() {
  lookout_->on_trouble({});
  pulling_.request_stop();
  if (pulling_.joinable()) pulling_.join();
}

void ModelKeeper::start(OnOffer on_offer) {
  on_offer_ = std::move(on_offer);
  lookout_->on_trouble([this](const std::string& trouble) {
    {
      const std::lock_guard lock(mutex_);
      trouble_ = trouble;
    }
    offer();
  });
  if (!config_.pull.empty()) pulling_ = std::jthread([this](const std::stop_token& stop) { keep_pulled(stop); });
}

void ModelKeeper::offer() {
  ExecutorInfo info;
  info.name = *config_.keeper;
  info.provider = to_string(config_.provider);
  for (const Operation& operation : operations()) info.capabilities.push_back(*Capability::parse(operation.capability));
  info.slots = 1;
  const std::lock_guard lock(mutex_);
  info.problem = trouble_;
  info.notice = notice_;
  on_offer_(std::move(info));
}

// ---- tasks

const std::vector<ModelKeeper::Operation>& ModelKeeper::operations() {
  static const std::vector<Operation> all = {{"llm.load", &ModelKeeper::load, {"keep_alive"}},
                                             {"llm.pull", &ModelKeeper::pull_for_task, {"force"}},
                                             {"llm.remove", &ModelKeeper::remove, {}}};
  return all;
}

std::map<Capability, JsonText> ModelKeeper::parameters() const {
  std::map<Capability, JsonText> all;
  for (const Operation& operation : operations()) {
    Json properties = {{"model", {{"type", "string"}}}};
    for (const auto field : operation.fields) properties[std::string(field)] = Json::object();
    const Json schema = {{"type", "object"},
                         {"properties", properties},
                         {"required", Json::array({"model"})},
                         {"additionalProperties", false}};
    all[*Capability::parse(operation.capability)] = schema.dump();
  }
  return all;
}

Result<ModelKeeper::Order> ModelKeeper::read_order(const Operation& operation, const Job& job) {
  const Json input = Json::parse(job.input, nullptr, false);
  if (!input.is_object()) return invalid(R"(the input must be an object such as {"model":"deepseek-coder:1.3b"})");
  for (const auto& [key, value] : input.items()) {
    const bool known = key == "model" || std::count(operation.fields.begin(), operation.fields.end(), key) > 0;
    if (!known) return invalid("`" + key + "` is not a field of " + operation.capability);
  }
  auto model = ModelName::parse(text_at(input, "model"));
  if (!model) return invalid("`model`: " + model.error().message);
  const Json& force = at(input, "force");
  if (!force.is_null() && !force.is_boolean()) return invalid("`force` must be true or false");
  auto keep_alive = read_keep_alive(at(input, "keep_alive"));
  if (!keep_alive) return keep_alive.error();
  return Order{std::move(*model), force == true, std::move(*keep_alive), job.attempt > 1};
}

RunOutcome ModelKeeper::run(const Job& job, std::stop_token stop, const OnProgress& on_progress) {
  return without_exceptions([&]() -> RunOutcome {
    const auto& all = operations();
    const auto operation =
        std::find_if(all.begin(), all.end(), [&](const Operation& k) { return job.capability.str() == k.capability; });
    if (operation == all.end()) return agent::failed("bad_input", job.capability.str() + " is not offered here", false);
    const auto order = read_order(*operation, job);
    if (!order) return agent::failed("bad_input", order.error().message, false);
    auto outcome = (this->*operation->work)(*order, {job.timeout, stop}, on_progress);
    if (stop.stop_requested() && outcome.error) return cancelled_outcome();
    // The list of models is up to date before the outcome is reported.
    lookout_->look_again_and_wait(stop, look_patience);
    return outcome;
  });
}

RunOutcome ModelKeeper::remove(const Order& order, const Limits& limits, const OnProgress& /*on_progress*/) {
  const auto failure = ollama_.remove(order.model, limits);
  const bool gone_before = failure && failure->code == "model_not_found" && order.repeated;
  if (failure && !gone_before) return failed(*failure);
  return done({{"model", order.model.listed()}, {"removed", true}});
}

RunOutcome ModelKeeper::load(const Order& order, const Limits& limits, const OnProgress& /*on_progress*/) {
  const Time began = monotonic_now();
  if (auto failure = ollama_.load(order.model, order.keep_alive, limits)) return failed(*failure);
  return done({{"model", order.model.listed()}, {"load_ms", to_ms(monotonic_now() - began)}});  // Ollama reports none
}

// ---- a download

class ModelKeeper::Room {
 public:
  Room(const ModelKeeper& keeper, const Order& order) : keeper_(keeper), order_(order) {}

  Failure before(const Manifest& manifest) {
    if (!keeper_.local_) return std::nullopt;
    if (auto no = memory(bytes_of(manifest))) return no;
    memory_checked_ = true;
    const auto missing = keeper_.folder_.missing_bytes(manifest);
    storage_checked_ = missing.has_value();
    return missing ? storage(*missing) : std::nullopt;
  }

  // If the size was unknown before, it is known when Ollama reports a layer.
  Failure meanwhile(const PullProgress& progress) {
    if (!keeper_.local_ || progress.layers() == layers_) return std::nullopt;
    layers_ = progress.layers();
    if (!memory_checked_) {
      if (auto no = memory(progress.total())) return no;
    }
    return storage_checked_ ? std::nullopt : storage(progress.to_come());
  }

 private:
  [[nodiscard]] Failure memory(std::uint64_t bytes) const {
    if (order_.force) return std::nullopt;
    return check_memory(order_.model.listed(), bytes, keeper_.memory_bytes_);
  }
  [[nodiscard]] Failure storage(std::uint64_t bytes) const {
    const auto free = keeper_.folder_.free_bytes();
    if (!free) return std::nullopt;
    return check_storage(order_.model.listed(), bytes, *free, keeper_.folder_.path());
  }

  const ModelKeeper& keeper_;
  const Order& order_;
  std::size_t layers_ = 0;
  bool memory_checked_ = false;
  bool storage_checked_ = false;
};

RunOutcome ModelKeeper::pull_for_task(const Order& order, const Limits& limits, const OnProgress& on_progress) {
  if (auto no = check_host(order.model, config_.pull_hosts)) return failed(*no);
  return pull(order, limits, on_progress);
}

RunOutcome ModelKeeper::pull(const Order& order, const Limits& limits, const OnProgress& on_progress) {
  const std::string model = order.model.listed();
  Room room(*this, order);
  const auto manifest = ollama_.manifest(order.model, limits.stop);
  if (manifest) {
    if (auto no = room.before(*manifest)) return failed(*no);
  } else {
    log_(log::Level::info,
         name().str() + ": the size of " + model + " is unknown before its download: " + manifest.error().message);
  }
  PullProgress progress(manifest ? bytes_of(*manifest) : 0);
  Seldom seldom(progress_interval);
  auto failure = ollama_.pull(order.model, progress, limits, [&](const PullProgress& now) -> Failure {
    if (auto no = room.meanwhile(now)) return no;
    if (!now.status().empty() && seldom.due(now.status(), now.completed())) {
      on_progress({now.percent(), valid_utf8(now.status()), Channel::note, 0, now.completed(), now.total()});
    }
    return std::nullopt;
  });
  if (failure) return failed(*failure);
  const auto why = why_not_offered(order.model);
  Json output = {{"model", model}, {"bytes", progress.total()}, {"offered", why.empty()}};
  if (!why.empty()) output["why"] = why;
  return done(output);
}

std::string ModelKeeper::why_not_offered(const ModelName& model) const {
  const auto& offered = config_.models;
  if (offered.empty() || std::count(offered.begin(), offered.end(), model.listed()) > 0) return {};
  return "`models` of this agent's [[llm]] does not name it";
}

// ---- at the start

std::vector<ModelName> ModelKeeper::wanted_models() {
  std::vector<ModelName> wanted;
  for (const std::string& text : config_.pull) {
    const auto chosen = text == by_memory ? model_for_memory(memory_bytes_) : std::optional<std::string_view>(text);
    if (chosen) {
      wanted.push_back(*ModelName::parse(*chosen));
    } else {
      const std::string why =
          "no model is downloaded automatically: none is useful in " + show_size(memory_bytes_) + " of memory";
      log_(log::Level::warning, name().str() + ": " + why);
      notice(why);
    }
  }
  return wanted;
}

RunOutcome ModelKeeper::pull_at_start(const ModelName& model, const std::stop_token& stop) {
  Listing listing;
  if (auto failure = ollama_.list(listing, {list_timeout, stop})) return failed(*failure);
  if (std::count(listing.models.begin(), listing.models.end(), model.listed()) > 0) return done({});
  log_(log::Level::info, name().str() + ": downloading the configured model " + model.listed());
  Seldom seldom(notice_interval);
  auto outcome = pull({model, false, {}, false}, {start_timeout, stop}, [&](const Progress& now) {
    if (!seldom.due(now.text, now.completed_bytes)) return;
    const auto far = now.percent < 0 ? now.text : std::to_string(now.percent) + " % of " + show_size(now.total_bytes);
    notice("downloading " + model.listed() + ": " + far);
  });
  if (!outcome.error) {
    const auto why = why_not_offered(model);
    log_(why.empty() ? log::Level::info : log::Level::warning,
         name().str() + ": " + model.listed() + " is available" + (why.empty() ? "" : ", but not offered: " + why));
    lookout_->look_again();
  }
  return outcome;
}

// Each is retried until it is present: the network may come up later, disk space may be freed.
void ModelKeeper::keep_pulled(const std::stop_token& stop) {
  auto wanted = wanted_models();
  std::mutex mutex;
  std::condition_variable_any stopped;
  for (int failures = 1; !wanted.empty() && !stop.stop_requested(); ++failures) {
    std::string why;
    std::erase_if(wanted, [&](const ModelName& model) {
      if (stop.stop_requested()) return false;
      const auto outcome = pull_at_start(model, stop);
      if (outcome.error) why = model.listed() + " is not available yet: " + outcome.error->message;
      return !outcome.error;
    });
    if (stop.stop_requested()) return;
    if (wanted.empty()) return notice("");
    const Duration most = start_backoff.ceiling(failures);
    const Duration pause =
        most / 2 + start_backoff.pause(failures, random_seed()) / 2;  // spreads a fleet that starts at once
    why += "; next attempt in " + exact_duration(std::chrono::ceil<std::chrono::seconds>(pause));
    log_(log::Level::warning, name().str() + ": " + why);
    notice(why);
    std::unique_lock lock(mutex);
    stopped.wait_for(lock, stop, pause, [] { return false; });
  }
}

void ModelKeeper::notice(const std::string& text) {
  {
    const std::lock_guard lock(mutex_);
    notice_ = std::string(cut_front(valid_utf8(text), most_problem_bytes));
  }
  offer();
}

}  // namespace edgefleet::agent::llm
