#include "coordinator/http/llm/task/sent_calls.hpp"

#include <algorithm>

#include "coordinator/http/llm/dialects/bounds.hpp"

namespace edgefleet::coordinator::llm {
namespace {

LineReader no_lines() { return {limits::payload_bytes, LineReader::Overlong::drop}; }

}  // namespace

SentCalls::SentCalls() : lines_(no_lines()) {}

void SentCalls::begin_attempt(int attempt) {
  attempt_ = attempt;
  heard_ = 0;
  unreadable_ = false;
  told_.clear();
  lines_ = no_lines();
}

std::optional<SentCalls::Lines> SentCalls::add(const Part& part) {
  if (part.attempt < attempt_) return Lines{};  // a newer attempt has replaced it
  if (part.attempt > attempt_) begin_attempt(part.attempt);
  const std::uint64_t end = part.at + part.text.size();
  // Only the result fills a gap, or follows when there is too much; a repetition adds nothing.
  if (part.at > heard_ || end <= heard_ || end > most_streamed_bytes) return Lines{};
  const auto fresh = std::string_view(part.text).substr(static_cast<std::size_t>(heard_ - part.at));
  heard_ = end;
  Lines news;
  bool agrees = true;
  lines_.feed(fresh, [&](std::string_view line) {
    unreadable_ = unreadable_ || lines_.take_overlong() > 0;
    agrees = agrees && (unreadable_ || take(line, news));
  });
  if (!agrees) return std::nullopt;
  return news;
}

// A line that cannot be read is no answer of another attempt: it ends the stream of this one.
bool SentCalls::take(std::string_view text, Lines& news) {
  const auto line = protocol::decode_call_line(text);
  const auto call = line ? protocol::read_tool_call(line->call) : std::nullopt;
  const bool begins = line && line->index == told_.size() && call;
  unreadable_ = !line || (line->index >= told_.size() && !begins);
  if (unreadable_) return true;
  if (begins) {
    told_.push_back(0);
    if (!begin(line->index, *call, news)) return false;
  }
  std::size_t& at = told_[line->index];
  const std::size_t from = at;
  at += line->arguments.size();
  return continue_with(line->index, from, line->arguments, news);
}

bool SentCalls::begin(std::size_t index, const protocol::ToolCall& call, Lines& news) {
  if (index < sent_.size()) return sent_[index].name == call.name;
  sent_.push_back({call.call, call.name, {}});
  news.push_back({index, call.call, {}});
  return true;
}

// The arguments that an attempt has told were sent, or are equal: so these begin within the sent ones, or at their end.
bool SentCalls::continue_with(std::size_t index, std::size_t at, std::string_view arguments, Lines& news) {
  std::string& sent = sent_[index].arguments;
  const std::size_t known = std::min(sent.size() - at, arguments.size());
  if (sent.compare(at, known, arguments, 0, known) != 0) return false;
  if (known == arguments.size()) return true;
  news.push_back({index, {}, std::string(arguments.substr(known))});
  sent += arguments.substr(known);
  return true;
}

std::optional<SentCalls::Lines> SentCalls::complete(const std::vector<protocol::ToolCall>& calls) {
  if (calls.size() < sent_.size()) return std::nullopt;
  Lines news;
  for (std::size_t index = 0; index < calls.size(); ++index) {
    const protocol::ToolCall& call = calls[index];
    if (!begin(index, call, news) || !call.arguments.starts_with(sent_[index].arguments)) return std::nullopt;
    if (!continue_with(index, 0, call.arguments, news)) return std::nullopt;
    if (auto more = protocol::members_beyond(call.call, sent_[index].call); !more.empty()) {
      news.push_back({index, std::move(more), {}});
    }
  }
  return news;
}

}  // namespace edgefleet::coordinator::llm
