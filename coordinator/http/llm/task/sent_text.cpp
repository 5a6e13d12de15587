#include "coordinator/http/llm/task/sent_text.hpp"

#include <algorithm>

namespace edgefleet::coordinator::llm {

std::optional<std::string> SentText::add(const Part& part) {
  if (part.attempt < attempt_) return std::string();  // a newer attempt has replaced it
  if (part.attempt > attempt_) {
    attempt_ = part.attempt;
    content_.heard = reasoning_.heard = 0;
  }
  Channel& in = channel(part.reasoning);
  const std::uint64_t end = part.at + part.text.size();
  // Only the result fills a gap; a repetition adds nothing.
  if (part.at > in.heard || end <= in.heard) return std::string();
  in.heard = end;
  // The text received from any attempt was sent, or is equal: so a part begins within the sent text, or at its end.
  const auto at = static_cast<std::size_t>(part.at);
  const std::size_t known = std::min(in.sent.size() - at, part.text.size());
  if (in.sent.compare(at, known, part.text, 0, known) != 0) return std::nullopt;
  std::string more = part.text.substr(known);
  in.sent += more;
  return more;
}

std::optional<std::string> SentText::complete(bool reasoning, std::string_view whole) {
  Channel& in = channel(reasoning);
  if (!whole.starts_with(in.sent)) return std::nullopt;
  std::string more(whole.substr(in.sent.size()));
  in.sent += more;
  return more;
}

}  // namespace edgefleet::coordinator::llm
