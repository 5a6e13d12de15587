#include "edge-agent/executors/llm/pieces.hpp"

#include <utility>

#include "common/protocol/json.hpp"

namespace edgefleet::agent::llm {
namespace {

// A line or an event: a chunk may have the log probabilities of a whole answer.
constexpr std::size_t longest_piece = std::size_t{4} << 20U;
constexpr std::size_t most_whole = std::size_t{16} << 20U;    // embeddings, before they are bounded as an output
constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";

bool take_prefix(std::string_view& line, std::string_view prefix) {
  if (!line.starts_with(prefix)) return false;
  line.remove_prefix(prefix.size());
  while (line.starts_with(' ')) line.remove_prefix(1);
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
  lines_.feed(bytes, [this](std::string_view line) { take_line(line); });
  const bool overlong = lines_.take_overlong() > 0 || data_.size() > longest_piece;
  return overlong ? Error{"the back end sent a line without an end", ErrorKind::invalid} : success();
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
  }
  // Anything else is a comment, or a field that means nothing here.
}

void Pieces::take_data(std::string_view data) {
  if (data_.empty() && (data == "[DONE]" || json::well_formed(data))) {
    deliver(data, error_event_);
  } else {
    (data_ += data) += '\n';
  }
}

void Pieces::end_event() {
  const std::string data = std::exchange(data_, {});
  if (data.find_first_not_of(" \t\r\n") != std::string::npos) deliver(data, error_event_);
  error_event_ = false;
}

void Pieces::deliver(std::string_view text, bool error) {
  if (done_) return;
  if (framing_ == Framing::events && text == "[DONE]") {
    done_ = true;
  } else {
    on_piece_(text, error);
  }
}

}  // namespace edgefleet::agent::llm
