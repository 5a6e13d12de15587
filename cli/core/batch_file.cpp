#include "cli/core/batch_file.hpp"

#include <map>
#include <utility>

#include "cli/core/text.hpp"
#include "common/protocol/json.hpp"
#include "common/protocol/submission.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
constexpr std::string_view body_begin = R"({"tasks":[)";
constexpr std::string_view body_end = "]}";

Error wrong(const std::string& message) { return Error{message, ErrorKind::invalid}; }

JsonText with_capability(const Capability& capability, std::string_view rest) {
  return R"({"capability":")" + capability.str() + "\"" + std::string(rest);
}

// For a task without a capability: adds it before the other members.
JsonText complete(const json::Object& object, std::string_view line, const Capability& fallback) {
  const auto members = trimmed(line.substr(1));
  return with_capability(fallback, (object.members().empty() ? "" : ",") + std::string(members));
}

Result<JsonText> text_of_line(std::string_view line, const std::optional<Capability>& fallback) {
  const auto object = line.starts_with('{') ? json::Object::read(line) : std::nullopt;
  const bool task = object && (!fallback || object->find("capability") || object->find("input"));
  if (!task && !fallback) return wrong("not a task object; for a file of inputs pass --capability");
  if (!task) return with_capability(*fallback, R"(,"input":)" + std::string(line) + "}");
  if (object->find("capability")) return JsonText(line);
  if (!fallback) return wrong("no capability; add \"capability\", or pass --capability for all lines");
  return complete(*object, line, *fallback);
}

// "1-3, 7", cut after a few ranges.
std::string show_lines(const std::vector<std::size_t>& lines) {
  constexpr std::size_t most_ranges = 8;
  std::string text;
  std::size_t ranges = 0;
  for (std::size_t i = 0; i < lines.size();) {
    std::size_t last = i;
    while (last + 1 < lines.size() && lines[last + 1] == lines[last] + 1) ++last;
    if (++ranges > most_ranges) return text + " and " + grouped(lines.size() - i) + " more";
    text += (text.empty() ? "" : ", ") + std::to_string(lines[i]);
    if (last > i) text += "-" + std::to_string(lines[last]);
    i = last + 1;
  }
  return text;
}

}  // namespace

Result<JsonText> task_of_line(std::string_view line, const std::optional<Capability>& fallback) {
  if (!json::well_formed(line)) return wrong("not valid JSON");
  auto text = text_of_line(line, fallback);
  if (!text) return text;
  if (const auto checked = protocol::decode_submission_part(*text, limits::most_task_bytes); !checked)
    return wrong(checked.error().message);
  return text;
}

std::vector<std::string> grouped_faults(const std::vector<LineFault>& faults) {
  std::vector<std::pair<std::string, std::vector<std::size_t>>> groups;
  std::map<std::string, std::size_t> places;
  for (const auto& fault : faults) {
    const auto [place, is_new] = places.try_emplace(fault.message, groups.size());
    if (is_new) groups.push_back({fault.message, {}});
    groups[place->second].second.push_back(fault.line);
  }
  std::vector<std::string> texts;
  for (const auto& [message, lines] : groups) {
    const auto count = lines.size() > 1 ? " (" + grouped(lines.size()) + " lines)" : std::string();
    texts.push_back((lines.size() == 1 ? "line " : "lines ") + show_lines(lines) + count + ": " + message);
  }
  return texts;
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
