#include "cli/core/batch_file.hpp"

#include <algorithm>
#include <array>

#include "cli/core/text.hpp"
#include "common/core/where.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::string_view body_begin = R"({"tasks":[)";
constexpr std::string_view body_end = "]}";

Error wrong(const std::string& message) { return Error{message, ErrorKind::invalid}; }

bool is_string(std::string_view raw) { return json::as_string(raw).has_value(); }
bool is_name(std::string_view raw) { return is_string(raw) && json::as_string(raw)->size() <= limits::name_bytes; }
bool is_duration(std::string_view raw) {
  const auto ms = json::as_integer(raw);
  return ms && *ms >= 0 && *ms <= to_ms(limits::longest);
}
bool is_priority(std::string_view raw) {
  const auto number = json::as_integer(raw);
  return number && *number >= -limits::priority && *number <= limits::priority;
}
bool is_attempts(std::string_view raw) {
  const auto number = json::as_integer(raw);
  return number && *number >= 1 && *number <= limits::max_attempts;
}
bool is_input(std::string_view raw) { return raw.size() <= limits::input_bytes; }
bool is_capability(std::string_view raw) { return is_string(raw) && valid_capability(*json::as_string(raw)); }
bool is_where(std::string_view raw) {
  const auto object = raw.starts_with('{') ? json::Object::read(raw) : std::nullopt;
  return object && std::all_of(object->members().begin(), object->members().end(), [](const auto& member) {
           return is_string(member.second) && check_where({{member.first, *json::as_string(member.second)}});
         });
}

struct Field {
  std::string_view name;
  bool (*valid)(std::string_view raw);
  std::string_view rule;
};
constexpr std::array<Field, 10> fields = {{
    {"capability", is_capability, "words of a-z, 0-9 and '-' joined by dots"},
    {"input", is_input, "at most 252 KiB of JSON; store larger data as an artifact (edgefleet put)"},
    {"name", is_name, "a string of at most 200 bytes"},
    {"priority", is_priority, "a whole number from -1000 to 1000"},
    {"timeout_ms", is_duration, "whole milliseconds, at most 30 days"},
    {"expires_after_ms", is_duration, "whole milliseconds, at most 30 days"},
    {"delay_ms", is_duration, "whole milliseconds, at most 30 days"},
    {"max_attempts", is_attempts, "a whole number from 1 to 100"},
    {"where", is_where, R"(an object of strings: {"LABEL":"VALUE"}, {"memory_mb":">=4000"})"},
    {"idempotency_key", is_string, "a string"},
}};

Status check_fields(const json::Object& object) {
  for (const auto& [name, raw] : object.members()) {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const auto& f) { return f.name == name; });
    if (field == fields.end()) return wrong("a task has no field \"" + name + "\"");
    if (!field->valid(raw)) return wrong("\"" + name + "\" must be " + std::string(field->rule));
  }
  return success();
}

JsonText with_capability(const Capability& capability, std::string_view rest) {
  return R"({"capability":")" + capability.str() + "\"" + std::string(rest);
}

// For a task without a capability: adds it before the other members.
JsonText complete(const json::Object& object, std::string_view line, const Capability& fallback) {
  const auto members = trimmed(line.substr(1));
  return with_capability(fallback, (object.members().empty() ? "" : ",") + std::string(members));
}

}  // namespace

Result<JsonText> task_of_line(std::string_view line, const std::optional<Capability>& fallback) {
  if (!json::well_formed(line)) return wrong("not valid JSON");
  const auto object = line.starts_with('{') ? json::Object::read(line) : std::nullopt;
  const bool task = object && (!fallback || object->find("capability") || object->find("input"));
  if (!task && !fallback) return wrong("not a task object; for a file of inputs pass --capability");
  if (!task) {
    if (!is_input(line))
      return wrong("the input must be at most 252 KiB; store larger data as an artifact (edgefleet put)");
    return with_capability(*fallback, R"(,"input":)" + std::string(line) + "}");
  }
  if (const auto checked = check_fields(*object); !checked) return checked.error();
  if (object->find("capability")) return JsonText(line);
  if (!fallback) return wrong("no capability; add \"capability\", or pass --capability for all lines");
  return complete(*object, line, *fallback);
}

BatchFile read_batch(std::istream& in, const std::optional<Capability>& fallback) {
  BatchFile file;
  std::string line;
  for (std::size_t number = 1; std::getline(in, line); ++number) {
    std::string_view text = line;
    if (number == 1 && text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    text = trimmed(text);
    if (text.empty()) continue;
    auto task = task_of_line(text, fallback);
    if (task) {
      file.tasks.push_back({number, std::move(*task)});
    } else {
      file.faults.push_back({number, task.error().message});
    }
  }
  return file;
}

std::vector<std::span<const BatchTask>> split(std::span<const BatchTask> tasks, std::size_t most_tasks,
                                              std::size_t most_bytes) {
  std::vector<std::span<const BatchTask>> chunks;
  std::size_t begin = 0;
  std::size_t bytes = body_begin.size() + body_end.size();
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const auto size = tasks[i].json.size() + 1;
    if (i > begin && (i - begin == most_tasks || bytes + size > most_bytes)) {
      chunks.push_back(tasks.subspan(begin, i - begin));
      begin = i;
      bytes = body_begin.size() + body_end.size();
    }
    bytes += size;
  }
  if (begin < tasks.size()) chunks.push_back(tasks.subspan(begin));
  return chunks;
}

std::string to_body(std::span<const BatchTask> tasks) {
  std::string body(body_begin);
  for (const auto& task : tasks) {
    if (body.size() > body_begin.size()) body += ',';
    body += task.json;
  }
  body += body_end;
  return body;
}

}  // namespace edgefleet::cli
