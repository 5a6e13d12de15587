// Reads requests from a byte stream: first the head, then the body in pieces as they arrive. The grammar is
// Boost.Beast's (RFC 9112); input that Beast accepts but this server does not is refused here. For one thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "common/http_server/message.hpp"

namespace edgefleet::http_server {

inline constexpr std::size_t most_head = 64 * 1024;  // bytes of the first line and the headers

class Parser {
 public:
  Parser();
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  Parser(Parser&&) = delete;
  Parser& operator=(Parser&&) = delete;
  ~Parser();

  enum class State { head, body, done, failed };
  // Takes bytes from the front of `input` and returns how many. It stops after the head, so that the caller can decide
  // before the body, and after the body: the rest is the next request. Pieces of the body go to `piece`.
  using Piece = std::function<void(std::string_view)>;
  std::size_t put(std::string_view input, const Piece& piece);

  [[nodiscard]] State state() const;
  [[nodiscard]] const Problem& problem() const;  // only if failed
  // Called before the body: a chunk that exceeds this is refused (413) as soon as its header is read.
  void limit_body(std::uint64_t bytes);
  // Complete once the head has been read; before that, the part that has been read.
  [[nodiscard]] Request& request();
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] bool http_1_0() const;
  [[nodiscard]] bool has_body() const;
  [[nodiscard]] std::optional<std::uint64_t> content_length() const;  // none: chunked, or no body

 private:
  struct Beast;
  std::unique_ptr<Beast> beast_;
};

}  // namespace edgefleet::http_server
