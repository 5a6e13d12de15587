#include "coordinator/http/llm/task/sent_text.hpp"

#include <algorithm>

#include "coordinator/http/llm/dialects/bounds.hpp"

namespace edgefleet::coordinator::llm {

std::optional<std::string> SentText::add(const Part& part) {
  if (part.attempt < attempt_) return std::string();  // a newer attempt has replaced it
  if (part.attempt > attempt_) {
    attempt_ = part.attempt;
    for (auto& [channel, text] : texts_) text.heard = 0;
  }
  Text& in = texts_[part.channel];
  const std::uint64_t end = part.at + part.text.size();
  // Only the result fills a gap, or follows when there is too much; a repetition adds nothing.
  if (part.at > in.heard || end <= in.heard || end > most_streamed_bytes) return std::string();
  in.heard = end;
  // The text received from any attempt was sent, or is equal: so a part begins within the sent text, or at its end.
  const auto at = static_cast<std::size_t>(part.at);
  const std::size_t known = std::min(in.sent.size() - at, part.text.size());
  if (in.sent.compare(at, known, part.text, 0, known) != 0) return std::nullopt;
  std::string more = part.text.substr(known);
  in.sent += more;
  return more;
}

std::optional<std::string> SentText::complete(Channel channel, std::string_view whole) {
  Text& in = texts_[channel];
  if (!whole.starts_with(in.sent)) return std::nullopt;
  std::string more(whole.substr(in.sent.size()));
  in.sent += more;
  return more;
}

}  // namespace edgefleet::coordinator::llm
