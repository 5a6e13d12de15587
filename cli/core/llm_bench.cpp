#include "cli/core/llm_bench.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>
#include <utility>

#include "cli/core/request.hpp"
#include "cli/core/table.hpp"
#include "cli/core/task_view.hpp"

namespace edgefleet::cli {
namespace {

constexpr const char* capability = "llm.chat";
constexpr Duration longest_wait = std::chrono::minutes(5);  // for a slot: the agent may have other work
constexpr std::size_t most_named = 20;

bool offers_chat(const Document& executor) {
  const auto& all = member_of(executor, "capabilities");
  return std::find(all.begin(), all.end(), capability) != all.end();
}

// Also "provider/model". If the coordinator does not name the provider, it is taken to match.
bool same_model(const std::string& wanted, const std::string& model, const std::string& provider) {
  if (wanted.empty() || wanted == model) return true;
  const auto slash = wanted.find('/');
  if (slash == std::string::npos || wanted.substr(slash + 1) != model) return false;
  return provider.empty() || wanted.substr(0, slash) == provider;
}

// If two executors of an agent have the model, its name alone is ambiguous.
std::string name_for(const std::string& wanted, const std::string& model, const std::string& provider, bool twice) {
  if (!wanted.empty()) return wanted;
  return twice && !provider.empty() ? provider + "/" + model : model;
}

std::vector<std::pair<std::string, std::string>> models_of(const Document& agent) {  // with their providers
  std::vector<std::pair<std::string, std::string>> models;
  for (const auto& executor : member_of(agent, "executors")) {
    if (!offers_chat(executor)) continue;
    for (const auto& model : member_of(executor, "models")) {
      if (model.is_string()) models.emplace_back(model.get<std::string>(), text_of(executor, "provider"));
    }
  }
  return models;
}

std::string why_not(const Document& agent) {
  const auto state = text_of(agent, "state");
  return text_of(agent, "name") + (flag_of(agent, "drained") ? " is drained" : " is " + state) +
         ": it is given no tasks";
}

std::string decimals(double number, int places) {
  std::array<char, 48> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.*f", places, number);
  return {text.data(), static_cast<std::size_t>(length)};
}

std::optional<double> median_of(const std::vector<Document>& usages, const char* key) {
  std::vector<double> numbers;
  for (const auto& usage : usages) {
    if (const auto number = number_of(usage, key)) numbers.push_back(*number);
  }
  return median(std::move(numbers));
}

// Only before the first request can the model be unloaded.
std::optional<double> load_ms(const std::vector<Document>& usages) {
  return usages.empty() ? std::nullopt : number_of(usages.front(), "load_ms");
}

std::string shown(const std::optional<double>& number, int places, double unit = 1) {
  return number ? decimals(*number / unit, places) : "-";
}

}  // namespace

LlmPlan plan_llm_bench(const Document& agents, const std::string& model) {
  LlmPlan plan;
  std::set<std::string> others;
  for (const auto& agent : member_of(agents, "agents")) {
    const auto models = models_of(agent);
    std::vector<LlmPair> pairs;
    for (const auto& [name, provider] : models) {
      if (!same_model(model, name, provider)) {
        others.insert(name);
        continue;
      }
      const auto times =
          std::count_if(models.begin(), models.end(), [&](const auto& one) { return one.first == name; });
      LlmPair pair{text_of(agent, "name"), name_for(model, name, provider, times > 1)};
      if (std::find(pairs.begin(), pairs.end(), pair) == pairs.end()) pairs.push_back(std::move(pair));
    }
    if (pairs.empty()) continue;
    if (flag_of(agent, "placeable")) {
      plan.pairs.insert(plan.pairs.end(), pairs.begin(), pairs.end());
    } else {
      plan.left_out.push_back(why_not(agent));
    }
  }
  plan.other_models.assign(others.begin(), others.end());
  return plan;
}

std::string nothing_to_ask(const LlmPlan& plan, const std::string& model) {
  auto text = model.empty() ? std::string("no available agent offers a language model")
                            : "no available agent offers the model \"" + model + "\"";
  for (const auto& reason : plan.left_out) text += "; " + reason;
  for (std::size_t i = 0; i < std::min(plan.other_models.size(), most_named); ++i) {
    text += (i == 0 ? "; other models: " : ", ") + plan.other_models[i];
  }
  return text;
}

std::optional<double> median(std::vector<double> numbers) {
  if (numbers.empty()) return std::nullopt;
  std::sort(numbers.begin(), numbers.end());
  const auto middle = numbers.size() / 2;
  return numbers.size() % 2 == 1 ? numbers[middle] : (numbers[middle - 1] + numbers[middle]) / 2;
}

LlmBench::LlmBench(std::vector<LlmPair> pairs, LlmBenchOptions options) : options_(std::move(options)) {
  for (auto& pair : pairs) {
    if (rows_.empty() || rows_.back().pair.agent != pair.agent) lanes_.push_back({rows_.size(), rows_.size()});
    rows_.push_back({std::move(pair), {}, {}});
    ++lanes_.back().end;
  }
}

std::optional<std::string> LlmBench::next(std::size_t lane) const {
  const auto& [at, end] = lanes_[lane];
  if (at == end) return std::nullopt;
  const auto& row = rows_[at];
  const auto number = row.usages.size() + 1;
  // The prompts differ from the first word on, so that a back end cannot reuse its cache of the last prompt.
  const auto prompt =
      "Run " + std::to_string(number) + " of " + std::to_string(options_.repeat) + ". " + options_.prompt;
  const Document input = {{"model", row.pair.model},
                          {"messages", Document::array({{{"role", "user"}, {"content", prompt}}})},
                          {"max_tokens", options_.tokens},
                          {"temperature", 0}};
  TaskRequest request;
  request.capability = *Capability::parse(capability);
  request.input = input.dump(-1, ' ', false, Document::error_handler_t::replace);
  request.name = "bench llm, run " + std::to_string(number);
  request.max_attempts = 1;  // a failure is a result
  request.expires_after = longest_wait;
  request.where = {{"agent", row.pair.agent}, {"model", row.pair.model}};
  return to_body(request);
}

void LlmBench::ended(std::size_t lane, const Document& task) {
  const auto state = text_of(task, "state");
  const auto& usage = member_of(task, "usage");
  if (state == "expired") return failed(lane, "no slot became free within 5 minutes");
  if (state != "succeeded") return failed(lane, task_outcome(task));
  if (!usage.is_object()) return failed(lane, "its back end does not report the number of tokens");
  current(lane).usages.push_back(usage);
  step(lanes_[lane]);
}

void LlmBench::failed(std::size_t lane, const std::string& reason) {
  current(lane).failure = reason;
  step(lanes_[lane]);
}

void LlmBench::step(Lane& lane) {
  if (asks_of(rows_[lane.row]) == 0) ++lane.row;
}

int LlmBench::asks_of(const Row& row) const {
  return row.failure.empty() ? options_.repeat - static_cast<int>(row.usages.size()) : 0;
}

bool LlmBench::any_failed() const {
  return std::any_of(rows_.begin(), rows_.end(), [](const Row& row) { return !row.failure.empty(); });
}

std::string LlmBench::progress(const std::vector<std::string>& status) const {
  std::uint64_t left = 0;
  for (const auto& row : rows_) left += static_cast<std::uint64_t>(asks_of(row));
  const auto all = rows_.size() * static_cast<std::size_t>(options_.repeat);
  auto text = grouped(all - left) + " of " + counted(all, "request", "requests");
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    if (lanes_[i].row == lanes_[i].end) continue;
    const auto& row = rows_[lanes_[i].row];
    text += "; " + row.pair.agent + ": " + row.pair.model + " " + std::to_string(row.usages.size() + 1) + " of " +
            std::to_string(options_.repeat);
    if (!status[i].empty()) text += ", " + status[i];
  }
  return printable(text);
}

std::string LlmBench::show(const Look& look) const {
  Table table{{{"AGENT"},
               {"MODEL", false, true},
               {"LOAD s", true},
               {"FIRST TOKEN ms", true},
               {"TOKENS/S", true},
               {"TOKENS", true}},
              {}};
  std::string failures;
  for (const auto& row : rows_) {
    table.rows.push_back({row.pair.agent, row.pair.model, shown(load_ms(row.usages), 1, 1000),
                          shown(median_of(row.usages, "first_token_ms"), 0),
                          shown(median_of(row.usages, "tokens_per_second"), 1),
                          shown(median_of(row.usages, "completion_tokens"), 0)});
    if (row.failure.empty()) continue;
    const auto line = row.pair.agent + ", " + row.pair.model + ": " + row.failure;
    failures += paint(printable(line), Style::bad, look.colour) + "\n";
  }
  return render(table, look) + failures;
}

Document LlmBench::document() const {
  auto results = Document::array();
  for (const auto& row : rows_) {
    Document result = {{"agent", row.pair.agent}, {"model", row.pair.model}};
    const auto add = [&result](const char* key, const std::optional<double>& number) {
      if (number) result[key] = *number;
    };
    add("load_ms", load_ms(row.usages));
    add("first_token_ms", median_of(row.usages, "first_token_ms"));
    add("tokens_per_second", median_of(row.usages, "tokens_per_second"));
    add("completion_tokens", median_of(row.usages, "completion_tokens"));
    result["runs"] = row.usages;
    if (!row.failure.empty()) result["failure"] = row.failure;
    results.push_back(std::move(result));
  }
  return {{"prompt", options_.prompt}, {"tokens", options_.tokens}, {"repeat", options_.repeat}, {"results", results}};
}

}  // namespace edgefleet::cli
