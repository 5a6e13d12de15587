// Splits the body of an answer into pieces of JSON, as back ends really send them. Pure.
//
// Events: a byte order mark may precede the first one; the empty line after an event may be missing, and an event may
// have several `data:` lines; \n, \r\n and \r end a line; `event: error` and `error:` lines report errors; a word that
// keeps a connection alive is no piece; a body that begins with JSON is one piece (an error, or the answer of a server
// that does not stream).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "common/core/line_reader.hpp"
#include "common/core/result.hpp"

namespace edgefleet::agent::llm {

// How an answer is split into pieces of JSON.
enum class Framing { events, lines, whole };  // server-sent events, a line each, one body

class Pieces {
 public:
  // `error`: the back end calls this piece an error, whatever its shape.
  using OnPiece = std::function<void(std::string_view text, bool error)>;
  Pieces(Framing framing, OnPiece on_piece);

  // The beginning of the first line that is no part of an event: of a page of HTML, for example.
  [[nodiscard]] const std::string& ignored() const { return ignored_; }
  // An error: a line or a body above its bound.
  Status feed(std::string_view bytes);
  void finish();                              // the body has ended
  [[nodiscard]] bool done() const { return done_; }  // the mark [DONE] was received: nothing counts after it

 private:
  std::string_view without_begin(std::string_view bytes);
  std::string with_newlines(std::string_view bytes);
  void take_line(std::string_view line);
  void take_data(std::string_view data);
  void end_event();
  void deliver(std::string_view text, bool error);

  Framing framing_;
  OnPiece on_piece_;
  LineReader lines_;
  std::string begin_;        // bytes that may still become a byte order mark
  bool begun_ = false;
  bool after_return_ = false;  // a \n that follows ends no other line
  std::string ignored_;
  std::string whole_;
  std::string data_;  // of an event that goes on in its next line
  bool error_event_ = false;
  bool done_ = false;
};

}  // namespace edgefleet::agent::llm
