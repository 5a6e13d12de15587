#include "common/http_server/response.hpp"

#include <algorithm>

namespace edgefleet::http_server {
namespace {

bool matches_etag(std::string_view header, std::string_view etag) {
  if (header == "*") return true;
  return !header.empty() && header.find("\"" + std::string(etag) + "\"") != std::string_view::npos;
}

}  // namespace

std::string hexadecimal(std::uint64_t value) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += digits[(value >> static_cast<unsigned>(shift)) & 15U];
  return text;
}

bool bodyless(int status) { return status == 204 || status == 304 || status < 200; }

std::string chunk_of(const std::string& piece) {
  std::string size = hexadecimal(piece.size());
  size.erase(0, std::min(size.find_first_not_of('0'), size.size() - 1));
  return size + "\r\n" + piece + "\r\n";
}

std::string response_head(const Reply& reply, const Headers& extra, const Framing& framing, const std::string& date,
                          const std::string& id) {
  std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " ";
  head.append(reason_phrase(reply.status)).append("\r\n");
  const auto add = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  add("Date", date);
  if (!id.empty()) add("X-Request-Id", id);
  if (!reply.content_type.empty() && !bodyless(reply.status)) add("Content-Type", reply.content_type);
  if (framing.length) add("Content-Length", std::to_string(*framing.length));
  if (framing.chunked) add("Transfer-Encoding", "chunked");
  for (const auto* headers : {&reply.headers, &extra}) {
    for (const auto& [name, value] : *headers) add(name, value);
  }
  const bool passes = reply.status == 429 || reply.status == 503;  // what is in the way now
  if (passes && !reply.headers.has("Retry-After")) add("Retry-After", "1");
  if (!framing.keep_alive) {
    add("Connection", "close");
  } else if (framing.http_1_0) {
    add("Connection", "keep-alive");
  }
  return head + "\r\n";
}

FileReply prepare_file(const Reply& reply, std::uint64_t size, const ReplyContext& request) {
  FileReply prepared{reply, {0, size}, RangeKind::whole};
  const std::string etag = "\"" + reply.file->etag + "\"";
  prepared.head.headers.add("ETag", etag);
  prepared.head.headers.add("Accept-Ranges", "bytes");
  if (matches_etag(request.if_none_match, reply.file->etag)) {
    prepared.head.status = 304;
    return prepared;
  }
  const bool applies = request.if_range.empty() || request.if_range == etag;
  prepared.kind = read_range(applies ? request.range : std::string_view{}, size, prepared.range);
  if (prepared.kind == RangeKind::part) {
    const auto [first, count] = prepared.range;
    prepared.head.status = 206;
    prepared.head.headers.add("Content-Range", "bytes " + std::to_string(first) + "-" +
                                                   std::to_string(first + count - 1) + "/" + std::to_string(size));
  }
  return prepared;
}

}  // namespace edgefleet::http_server
