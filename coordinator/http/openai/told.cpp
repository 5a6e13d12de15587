#include "coordinator/http/openai/told.hpp"

#include <algorithm>

namespace edgefleet::coordinator::openai {

std::optional<std::string> Told::hear(const Part& part) {
  if (part.attempt < attempt_) return std::string();  // it has a successor
  if (part.attempt > attempt_) {
    attempt_ = part.attempt;
    content_.heard = reasoning_.heard = 0;
  }
  Channel& in = channel(part.reasoning);
  const std::uint64_t end = part.at + part.text.size();
  // A gap is filled by the result alone; a repetition says nothing new.
  if (part.at > in.heard || end <= in.heard) return std::string();
  in.heard = end;
  // Compare what overlaps with what was sent, whoever said it then.
  const auto at = static_cast<std::size_t>(part.at);
  const std::size_t known = at < in.sent.size() ? std::min(in.sent.size() - at, part.text.size()) : 0;
  if (in.sent.compare(std::min(at, in.sent.size()), known, part.text, 0, known) != 0) return std::nullopt;
  if (at > in.sent.size()) return std::string();  // a former attempt got further; cannot be, but harms nobody
  std::string more = part.text.substr(known);
  in.sent += more;
  return more;
}

std::optional<std::string> Told::complete(bool reasoning, std::string_view whole) {
  Channel& in = channel(reasoning);
  if (!whole.starts_with(in.sent)) return std::nullopt;
  std::string more(whole.substr(in.sent.size()));
  in.sent += more;
  return more;
}

}  // namespace edgefleet::coordinator::openai
