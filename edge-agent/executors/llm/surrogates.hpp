// Escapes of UTF-16 surrogates that a back end has split between two pieces of its stream: one piece ends a text with
// "\ud83d", a later one begins a text with "\ude00". Alone, neither is JSON. Pure.
#pragma once

#include <string>
#include <string_view>

namespace edgefleet::agent::llm {

class SurrogateJoiner {
 public:
  // `piece` with each half moved to its other half. A half without another becomes U+FFFD. Only for text that is not
  // well formed: the joined text may be.
  std::string join(std::string_view piece);

 private:
  void take_text(std::string_view text, std::string& out);

  std::string high_;  // the escape at the end of a text, kept for the next piece
};

}  // namespace edgefleet::agent::llm
