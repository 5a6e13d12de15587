#include "cli/core/models.hpp"

#include <algorithm>
#include <tuple>

#include "cli/core/fleet_view.hpp"
#include "cli/core/table.hpp"
#include "cli/core/task_view.hpp"
#include "cli/core/times.hpp"
#include "common/core/nearest.hpp"
#include "common/core/utf8.hpp"
#include "common/core/where.hpp"

namespace edgefleet::cli {
namespace {

bool has(const Document& strings, const std::string& text) {
  return std::any_of(strings.begin(), strings.end(), [&](const Document& one) { return one == text; });
}

bool about_models(const Document& executor) {
  const auto& capabilities = member_of(executor, "capabilities");
  return std::any_of(capabilities.begin(), capabilities.end(),
                     [](const Document& one) { return one.is_string() && one.get<std::string>().starts_with("llm."); });
}

struct Row {
  std::string model;
  std::string agent;
  std::string executor;
  std::string provider;
  std::string loaded;
  std::string problem;
  [[nodiscard]] auto order() const { return std::tie(model, agent, executor); }
};

bool away(const Document& agent) {
  const auto state = text_of(agent, "state");
  return state == "lost" || state == "offline";
}

std::vector<Row> rows_of(const Document& agents) {
  std::vector<Row> rows;
  for (const auto& agent : member_of(agents, "agents")) {
    const auto name = text_of(agent, "name");
    const auto state = text_of(agent, "state");
    for (const auto& executor : member_of(agent, "executors")) {
      if (!about_models(executor)) continue;
      const auto problem = away(agent) ? "the agent is " + state : text_of(executor, "problem");
      const auto& models = member_of(executor, "models");
      Row row{{}, name, text_of(executor, "name"), text_of(executor, "provider"), {}, problem};
      for (const auto& model : models) {
        if (!model.is_string()) continue;
        row.model = model.get<std::string>();
        row.loaded = has(member_of(executor, "loaded_models"), row.model) ? "yes" : "";
        rows.push_back(row);
      }
      if (models.empty() && !problem.empty() && !away(agent)) rows.push_back(row);
    }
  }
  // Rows without a model come last.
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) {
    return std::tuple(a.model.empty(), a.order()) < std::tuple(b.model.empty(), b.order());
  });
  return rows;
}

std::string notices_of(const Document& agents) {
  std::string text;
  for (const auto& agent : member_of(agents, "agents")) {
    if (away(agent)) continue;
    for (const auto& executor : member_of(agent, "executors")) {
      const auto notice = text_of(executor, "notice");
      if (notice.empty() || !about_models(executor)) continue;
      text += printable(text_of(agent, "name") + ": " + text_of(executor, "name") + ": " + notice) + "\n";
    }
  }
  return text;
}

bool has_model(const Document& agent, const std::string& model) {
  const auto& executors = member_of(agent, "executors");
  return std::any_of(executors.begin(), executors.end(), [&](const Document& executor) {
    const auto& models = member_of(executor, "models");
    return has(models, model) || has(models, full_model_name(model));
  });
}

bool offers(const Document& agent, const std::string& capability) {
  const auto& executors = member_of(agent, "executors");
  return std::any_of(executors.begin(), executors.end(),
                     [&](const Document& executor) { return has(member_of(executor, "capabilities"), capability); });
}

MachineSize size_of(const Document& agent) {
  constexpr std::uint64_t mb = 1024 * 1024;
  MachineSize size{count_of(agent, "cpus"), count_of(agent, "memory_bytes") / mb, 0};
  for (const auto& gpu : member_of(agent, "gpus")) {
    size.gpu_memory_mb = std::max(size.gpu_memory_mb, count_of(gpu, "memory_bytes") / mb);
  }
  return size;
}

// Why the agent does not match; empty if it does.
std::string why_not(const Document& agent, const ModelOrder& order) {
  const auto& labels = member_of(agent, "labels");
  for (const auto& [key, value] : order.where) {
    if (const auto size = size_named(key, size_of(agent))) {
      const auto condition = parse_size_condition(value);
      if (!condition || !meets(*condition, *size)) return "has " + key + " " + std::to_string(*size);
      continue;
    }
    const auto own = key == "agent"   ? text_of(agent, "name")
                     : key == "model" ? (has_model(agent, value) ? value : std::string())
                                      : text_of(labels, key.c_str());
    if (own != value) return own.empty() ? "has no " + key + " " + value : key + " is " + own;
  }
  if (!offers(agent, "llm." + order.verb)) return "offers no llm." + order.verb;
  if (away(agent)) return "is " + text_of(agent, "state");
  if (order.only_holders && order.where.count("agent") == 0 && !has_model(agent, order.model)) {
    return "does not have " + full_model_name(order.model);
  }
  return {};
}

Document input_of(const ModelOrder& order) {
  Document input = {{"model", order.model}};
  if (order.force) input["force"] = true;
  if (!order.keep_alive.empty()) {
    const bool number = order.keep_alive.find_first_not_of("-0123456789") == std::string::npos;
    const auto parsed = number ? Document::parse(order.keep_alive, nullptr, false) : Document(order.keep_alive);
    input["keep_alive"] = parsed.is_discarded() ? Document(order.keep_alive) : parsed;
  }
  return input;
}

// Of one attempt: a download over a slow link may take a day; a load never takes half an hour.
std::int64_t timeout_ms(const std::string& verb) {
  constexpr std::int64_t minute = 60'000;
  return verb == "pull" ? 24 * 60 * minute : verb == "load" ? 30 * minute : 5 * minute;
}

std::string rate_and_time_left(const std::optional<double>& rate, std::uint64_t rest) {
  if (!rate || *rate < 1) return {};
  auto text = ", " + show_bytes(static_cast<std::uint64_t>(*rate)) + "/s";
  const double seconds = static_cast<double>(rest) / *rate;
  if (rest > 0 && seconds < 1e8) {
    text += ", " + show_duration(std::chrono::seconds(static_cast<std::int64_t>(seconds + 1))) + " left";
  }
  return text;
}

std::string transfer_of(const Document& progress, const std::optional<double>& rate) {
  const auto done = count_of(progress, "completed_bytes"), all = count_of(progress, "total_bytes");
  auto text = printable(text_of(progress, "text"));
  if (all == 0) return text;
  const auto share = static_cast<double>(done) / static_cast<double>(all);
  const auto shown = bar(share, 16) + "  " + show_bytes(done) + " of " + show_bytes(all);
  return done >= all ? shown + ", " + text : shown + rate_and_time_left(rate, all - done);
}

std::string agent_of(const Document& task) { return text_of(member_of(task, "where"), "agent"); }

}  // namespace

std::string full_model_name(const std::string& model) {
  const auto name = model.substr(model.rfind('/') + 1);
  return name.find(':') == std::string::npos ? model + ":latest" : model;
}

std::string show_models(const Document& agents, const Look& look) {
  Table table{{{"MODEL"}, {"AGENT"}, {"EXECUTOR"}, {"PROVIDER"}, {"LOADED"}, {"PROBLEM", false, true}}, {}};
  for (const auto& row : rows_of(agents)) {
    table.rows.push_back({row.model.empty() ? Cell("-", Style::dim) : Cell(row.model),
                          row.agent,
                          row.executor,
                          row.provider,
                          {row.loaded, Style::good},
                          {row.problem, Style::bad}});
  }
  const auto notices = notices_of(agents);
  if (table.rows.empty())
    return "no agent offers a language model; an agent needs an [[llm]] in its configuration (docs/llm.md)\n" + notices;
  return render(table, look) + notices;
}

Result<std::vector<std::string>> choose_agents(const Document& agents, const ModelOrder& order) {
  constexpr std::size_t most_named = 10;
  std::vector<std::string> chosen;
  std::string others;
  std::size_t refused = 0;
  const auto only = order.where.find("agent");
  std::vector<std::string> names;
  for (const auto& agent : member_of(agents, "agents")) names.push_back(text_of(agent, "name"));
  if (only != order.where.end() && !names.empty() && std::ranges::find(names, only->second) == names.end()) {
    const auto near = nearest(only->second, names);
    return Error{"agent " + only->second + " is not known" + (near ? "; did you mean " + *near + "?" : ""),
                 ErrorKind::not_found};
  }
  for (const auto& agent : member_of(agents, "agents")) {
    if (only != order.where.end() && text_of(agent, "name") != only->second) continue;
    const auto why = why_not(agent, order);
    if (why.empty()) {
      chosen.push_back(text_of(agent, "name"));
    } else if (++refused <= most_named) {
      others += (others.empty() ? "" : "; ") + text_of(agent, "name") + " " + why;
    }
  }
  std::sort(chosen.begin(), chosen.end());
  if (!chosen.empty()) return chosen;
  if (refused == 0) return Error{no_agents, ErrorKind::not_found};
  if (refused > most_named) others += "; and " + std::to_string(refused - most_named) + " more";
  return Error{"no agent can " + order.verb + " " + order.model + ": " + others, ErrorKind::not_found};
}

std::string to_body(const ModelOrder& order, const std::vector<std::string>& agents) {
  Document tasks = Document::array();
  for (const auto& agent : agents) {
    tasks.push_back({{"capability", "llm." + order.verb},
                     {"input", input_of(order)},
                     {"name", cut_front(order.verb + " " + order.model, limits::name_bytes)},
                     {"where", {{"agent", agent}}},
                     {"timeout_ms", timeout_ms(order.verb)},
                     {"max_attempts", 10}});
  }
  return Document{{"tasks", std::move(tasks)}}.dump(-1, ' ', false, Document::error_handler_t::replace);
}

void ModelWatch::take(const Document& task, Time now) {
  auto& one = tasks_[text_of(task, "id")];
  one.agent = agent_of(task);
  one.state = text_of(task, "state");
  if (one.state == "running" || ended_state(one.state)) one.reason.clear();
  const auto& progress = member_of(task, "progress");
  if (!progress.is_object()) return;
  one.progress = progress;
  const auto age = std::chrono::milliseconds(count_of(progress, "age_ms"));
  one.rate.add(now - age, count_of(progress, "completed_bytes"));
}

void ModelWatch::take_reason(const std::string& id, const std::string& status) { tasks_[id].reason = status; }

bool ModelWatch::ended() const {
  return std::all_of(tasks_.begin(), tasks_.end(), [](const auto& one) { return ended_state(one.second.state); });
}

bool ModelWatch::succeeded() const {
  return std::all_of(tasks_.begin(), tasks_.end(), [](const auto& one) { return one.second.state == "succeeded"; });
}

std::vector<std::string> ModelWatch::waiting() const {
  std::vector<std::string> ids;
  for (const auto& [id, one] : tasks_) {
    if (one.state == "queued" || one.state == "scheduled") ids.push_back(id);
  }
  return ids;
}

std::string ModelWatch::lines(int width, int height) const {
  std::vector<const One*> ones;
  std::size_t longest = 0;
  for (const auto& [id, one] : tasks_) {
    ones.push_back(&one);
    longest = std::max(longest, width_of(one.agent));
  }
  // Unfinished tasks come first, in case the screen is too small for all.
  std::sort(ones.begin(), ones.end(), [](const One* a, const One* b) {
    return std::tuple(ended_state(a->state), a->agent) < std::tuple(ended_state(b->state), b->agent);
  });
  const auto room = static_cast<std::size_t>(std::max(height, 2));
  std::string text;
  for (std::size_t i = 0; i < ones.size() && (i + 1 < room || ones.size() <= room); ++i) {
    const One& one = *ones[i];
    const bool moving = one.state == "running" && one.progress.is_object();
    const auto shown = moving               ? transfer_of(one.progress, one.rate.per_second())
                       : one.reason.empty() ? printable(one.state)
                                            : one.reason;
    text += (i > 0 ? "\n" : "") + fit(pad(printable(one.agent), longest, false) + "  " + shown,
                                      static_cast<std::size_t>(std::max(width, 20)));
  }
  if (ones.size() > room) text += "\nand " + std::to_string(ones.size() - room + 1) + " more";
  return text;
}

std::string show_model_outcome(const Document& task) {
  const auto& output = member_of(task, "output");
  auto text = printable(agent_of(task)) + "  " + printable(text_of(task, "state"));
  if (text_of(task, "state") != "succeeded") {
    const auto& error = member_of(task, "error");
    if (error.is_object()) text += ": " + printable(text_of(error, "code") + ": " + text_of(error, "message"));
    return text;
  }
  text += ": " + printable(text_of(output, "model"));
  if (const auto bytes = count_of(output, "bytes"); bytes > 0) text += ", " + show_bytes(bytes);
  if (const auto run = number_of(task, "run_ms")) {
    text += ", in " + show_duration(std::chrono::milliseconds(static_cast<std::int64_t>(*run)));
  }
  const auto why = text_of(output, "why");
  return why.empty() ? text : text + "; not offered: " + printable(why);
}

}  // namespace edgefleet::cli
