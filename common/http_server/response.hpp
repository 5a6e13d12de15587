// The text of a response: its head, chunks, and what the headers of a request select of a file. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/http_server/file_reader.hpp"
#include "common/http_server/message.hpp"

namespace edgefleet::http_server {

struct Framing {
  std::optional<std::uint64_t> length;  // of the body; none: chunked, until the end of the connection, or no body
  bool chunked = false;
  bool keep_alive = true;
  bool http_1_0 = false;  // of the request
};

std::string hexadecimal(std::uint64_t value);  // 16 digits
bool bodyless(int status);
std::string chunk_of(const std::string& piece);
// `extra`: headers after those of the reply. `date`: as the Date header has it. `id`: X-Request-Id, unless empty.
std::string response_head(const Reply& reply, const Headers& extra, const Framing& framing, const std::string& date,
                          const std::string& id);

struct FileReply {
  Reply head;  // 200, 206 or 304
  ByteRange range;
  RangeKind kind = RangeKind::whole;
};
FileReply prepare_file(const Reply& reply, std::uint64_t size, const ReplyContext& request);

}  // namespace edgefleet::http_server
