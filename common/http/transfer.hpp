// One connection of libcurl: runs one call after another and keeps the connection open between them.
#pragma once

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "common/http/client.hpp"
#include "common/http/libcurl.hpp"

namespace edgefleet::http {

// The parameters of a call, and its results, which libcurl's callbacks fill in.
struct Call {
  Method method = Method::get;
  std::string base_url;
  std::string path;
  std::string_view body{};        // of a POST or a DELETE
  const Headers* headers = nullptr;
  const Credentials* credentials = nullptr;
  std::FILE* upload = nullptr;    // of a PUT
  std::uint64_t upload_bytes = 0;
  const Options& options;
  const Sink* sink = nullptr;
  const Progress* progress = nullptr;

  Response response{};
  std::optional<Error> failure{};  // found by one of our callbacks
};

class Transfer {
 public:
  explicit Transfer(const Libcurl& curl);
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;
  Transfer(Transfer&&) = delete;
  Transfer& operator=(Transfer&&) = delete;
  ~Transfer();

  Result<Response> run(Call& call, const Peer& peer);

 private:
  template <typename Value>
  void set(CURLoption option, Value value);
  void prepare(Call& call);
  void prepare_body(Call& call);
  void prepare_credentials(const Credentials& credentials);
  CURLcode perform(Call& call);
  CURLcode loop(Call& call);
  [[nodiscard]] std::optional<CURLcode> finished();
  void read_answer(Response& response);
  std::string server_certificate();
  [[nodiscard]] Error explain(CURLcode code, const Call& call, const Peer& peer);
  [[nodiscard]] Error explain_timeout(const Call& call, const Peer& peer);
  void add_header(const char* line);

  const Libcurl& curl_;
  CURLM* multi_;
  CURL* easy_;
  curl_slist* headers_ = nullptr;
};

}  // namespace edgefleet::http
