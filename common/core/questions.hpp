// The capabilities whose tasks are questions to a language model: their answers take tokens.
#pragma once

#include <string_view>

namespace edgefleet {

constexpr bool is_question(std::string_view capability) {
  return capability == "llm.chat" || capability == "llm.generate" || capability == "llm.embed";
}

}  // namespace edgefleet
