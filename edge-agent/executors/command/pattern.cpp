#include "edge-agent/executors/command/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <cstdint>

namespace edgefleet::agent {
namespace {

constexpr std::size_t longest_pattern = 1024;
// A match of an ordinary pattern takes some steps per character; this number takes milliseconds on a Pi.
constexpr std::uint32_t most_steps = 200'000;
constexpr std::uint32_t most_heap_kib = 8 * 1024;  // during the match; newer versions of PCRE2 need more per step

// Matches the whole text, including a final newline; no \C, which could split a character.
constexpr std::uint32_t options =
    PCRE2_UTF | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_NEVER_BACKSLASH_C;

PCRE2_SPTR units(std::string_view text) {
  return reinterpret_cast<PCRE2_SPTR>(text.data() == nullptr ? "" : text.data());
}

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  ::pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct Pattern::Code {
  Code(pcre2_code* compiled, pcre2_match_context* limits) : code(compiled), context(limits) {}
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;
  Code(Code&&) = delete;
  Code& operator=(Code&&) = delete;
  ~Code() {
    ::pcre2_match_context_free(context);
    ::pcre2_code_free(code);
  }

  pcre2_code* code;
  pcre2_match_context* context;
};

Result<Pattern> Pattern::compile(const std::string& pattern) {
  if (pattern.size() > longest_pattern) return Error{"the pattern is longer than 1024 bytes", ErrorKind::invalid};
  int failure = 0;
  std::size_t at = 0;
  pcre2_code* const code = ::pcre2_compile(units(pattern), pattern.size(), options, &failure, &at, nullptr);
  if (code == nullptr) {
    return Error{"pattern '" + pattern + "', character " + std::to_string(at) + ": " + message_of(failure),
                 ErrorKind::invalid};
  }
  pcre2_match_context* const context = ::pcre2_match_context_create(nullptr);
  auto owned = std::make_shared<const Code>(code, context);
  if (context == nullptr) return Error{"no memory for a pattern", ErrorKind::internal};
  ::pcre2_set_match_limit(context, most_steps);
  ::pcre2_set_heap_limit(context, most_heap_kib);
  return Pattern(pattern, std::move(owned));
}

bool Pattern::matches(std::string_view text) const {
  pcre2_match_data* const data = ::pcre2_match_data_create(1, nullptr);
  if (data == nullptr) return false;
  const int found = ::pcre2_match(code_->code, units(text), text.size(), 0, 0, data, code_->context);
  ::pcre2_match_data_free(data);
  return found >= 0;
}

}  // namespace edgefleet::agent
