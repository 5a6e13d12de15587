#include "edge-agent/executors/llm/pieces.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "common/core/trimmed.hpp"
#include "common/core/utf8.hpp"
#include "common/protocol/json.hpp"

namespace edgefleet::agent::llm {
namespace {

// A line or an event: a chunk may have the log probabilities of a whole answer.
constexpr std::size_t longest_piece = std::size_t{4} << 20U;
constexpr std::size_t most_whole = std::size_t{16} << 20U;    // embeddings, before they are bounded as an output
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

constexpr std::size_t most_ignored = 200;

bool is_word(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower,
                            [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; });
}

bool keeps_alive(std::string_view text) {
  constexpr std::array<std::string_view, 4> words = {"ping", "keep-alive", "keepalive", "heartbeat"};
  return std::ranges::any_of(words, [&](std::string_view word) { return is_word(text, word); });
}

// A comment, or a field that means nothing here.
bool means_nothing(std::string_view line) {
  return line.starts_with(':') || line.starts_with("id") || line.starts_with("retry");
}

bool take_prefix(std::string_view& line, std::string_view prefix) {
  if (!line.starts_with(prefix)) return false;
  line.remove_prefix(prefix.size());
  line = trimmed(line);
  return true;
}

}  // namespace

Pieces::Pieces(Framing framing, OnPiece on_piece)
    : framing_(framing), on_piece_(std::move(on_piece)), lines_(longest_piece, LineReader::Overlong::drop) {}

// Skips the byte order mark and the white space before the first byte that decides; empty: not enough bytes yet.
std::string_view Pieces::without_begin(std::string_view bytes) {
  begin_ += bytes;
  std::string_view rest = begin_;
  if (byte_order_mark.starts_with(rest)) return {};
  if (rest.starts_with(byte_order_mark)) rest.remove_prefix(byte_order_mark.size());
  const auto first = rest.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) {
    begin_ = byte_order_mark;  // white space means nothing here, and must not be collected without end
    return {};
  }
  begun_ = true;
  rest.remove_prefix(first);
  if (framing_ == Framing::events && (rest.front() == '{' || rest.front() == '[')) framing_ = Framing::whole;
  return rest;
}

Status Pieces::feed(std::string_view bytes) {
  if (!begun_) bytes = without_begin(bytes);
  if (framing_ == Framing::whole) {
    whole_ += bytes;
    return whole_.size() <= most_whole ? success() : Error{"the answer is too large", ErrorKind::too_large};
  }
  std::string changed;
  const bool returns = framing_ == Framing::events && (after_return_ || bytes.find('\r') != std::string_view::npos);
  if (returns) bytes = changed = with_newlines(bytes);
  lines_.feed(bytes, [this](std::string_view line) { take_line(line); });
  const bool overlong = lines_.take_overlong() > 0 || data_.size() > longest_piece;
  return overlong ? Error{"the back end sent a line without an end", ErrorKind::invalid} : success();
}

// JSON has no \r within a text, so each of them ends a line.
std::string Pieces::with_newlines(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) {
    if (c != '\n' || !after_return_) out += c == '\r' ? '\n' : c;
    after_return_ = c == '\r';
  }
  return out;
}

void Pieces::finish() {
  if (framing_ == Framing::whole) return deliver(whole_, false);
  lines_.finish([this](std::string_view line) { take_line(line); });
  end_event();
}

void Pieces::take_line(std::string_view line) {
  if (framing_ == Framing::lines) {
    if (line.find_first_not_of(" \t") != std::string_view::npos) deliver(line, false);
  } else if (line.empty()) {
    end_event();
  } else if (take_prefix(line, "data:")) {
    take_data(line);
  } else if (take_prefix(line, "event:")) {
    end_event();
    error_event_ = line == "error";
  } else if (take_prefix(line, "error:")) {  // llama.cpp's older streams
    deliver(line, true);
  } else if (ignored_.empty() && !means_nothing(line)) {
    ignored_ = cut_front(line, most_ignored);
  }
}

void Pieces::take_data(std::string_view data) {
  if (data_.empty() && (is_word(data, "[done]") || json::well_formed(data))) {
    deliver(data, error_event_);
  } else {
    (data_ += data) += '\n';
  }
}

void Pieces::end_event() {
  const std::string data = std::exchange(data_, {});
  if (const auto text = trimmed(data); !text.empty()) deliver(text, error_event_);
  error_event_ = false;
}

void Pieces::deliver(std::string_view text, bool error) {
  if (done_) return;
  if (framing_ == Framing::events && is_word(text, "[done]")) {
    done_ = true;
  } else if (framing_ != Framing::events || error || !keeps_alive(text)) {
    on_piece_(text, error);
  }
}

}  // namespace edgefleet::agent::llm
