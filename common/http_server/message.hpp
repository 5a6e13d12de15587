// An HTTP request and its reply as values, without types of the parsing library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/core/result.hpp"

namespace edgefleet::http_server {

// In the order of the wire. Names are case-insensitive.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  [[nodiscard]] std::string_view get(std::string_view name) const;  // the first one; empty if there is none
  [[nodiscard]] bool has(std::string_view name) const;
  [[nodiscard]] std::size_t count(std::string_view name) const;
  // Whether a list such as `Connection: keep-alive, Upgrade` has this element.
  [[nodiscard]] bool lists(std::string_view name, std::string_view element) const;
  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

bool equal_without_case(std::string_view a, std::string_view b);

// The other end of a connection.
struct Peer {
  std::string address;      // 192.168.1.20 or fe80::1, without a port
  std::string certificate;  // DER of the client certificate that this listener has verified; empty: none
};

// The caller's identity. A listener's gate sets it before the body is read.
struct Principal {
  std::string name;  // empty: nobody in particular
  std::string role;  // in the terms of Route::role; empty: the request has no credential
  // Which of the caller's credentials the request has: the id of a key, the serial of a certificate.
  std::string credential{};
};

// The memory that one body has reserved within a bound; released when it is destroyed. Any thread.
class ByteShare;

struct Request {
  std::string method;
  std::string path;   // as received, without the query string: "/v1/models/a%2Fb"
  std::string query;  // as received, without the question mark
  Headers headers;
  std::map<std::string, std::string, std::less<>> captures;  // decoded: the "id" of "/tasks/{id}"
  std::string body;                                          // inflated; within Route::most_body
  std::string id;                                            // X-Request-Id: the client's if it is well-formed
  Peer peer;
  Principal principal;
  std::shared_ptr<ByteShare> share;

  [[nodiscard]] std::string_view header(std::string_view name) const { return headers.get(name); }
  [[nodiscard]] const std::string& capture(std::string_view name) const;
  // The decoded value of a parameter of the query string; no value: it is missing.
  [[nodiscard]] std::optional<std::string> parameter(std::string_view name) const;
};

// What a reply needs to know of its request, after the handler has taken the request.
struct ReplyContext {
  ReplyContext() = default;
  explicit ReplyContext(const Request& request);

  std::string id;
  std::string method;
  std::string path;
  std::string if_none_match;  // headers that concern a file
  std::string if_range;
  std::string range;
};

// %41 is A; in a query string + is a space. No value: a broken escape, or a NUL.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

// A file on disk, served with Range and If-None-Match. Its content never changes.
struct File {
  std::string path;
  std::string etag;  // without quotes
};

struct Reply {
  int status = 200;
  std::string body;
  std::string content_type = "application/json";
  Headers headers;
  std::optional<File> file;  // instead of the body
};

// A refusal by the server itself.
struct Problem {
  int status = 400;
  std::string detail;
  Headers headers;
};

std::string_view reason_phrase(int status);  // "Not Found"

}  // namespace edgefleet::http_server
