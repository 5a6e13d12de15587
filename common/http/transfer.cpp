#include "common/http/transfer.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <exception>
#include <new>
#include <stop_token>
#include <system_error>
#include <utility>

#include "common/core/error_text.hpp"
#include "common/http/url.hpp"

namespace edgefleet::http {
namespace {

// The longest wait between two checks of the transfer; a stop request wakes libcurl at once.
constexpr int poll_ms = 1000;
constexpr int watched_poll_ms = 100;
constexpr std::size_t most_headers = 100;

int status_of(const Libcurl& curl, CURL* easy) {
  long status = 0;
  curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

// The context of the callbacks: they are C functions that get one pointer.
struct Context {
  const Libcurl& curl;
  CURL* easy;
  Call& call;
};

Status take(Context& context, std::string_view piece) {
  Call& call = context.call;
  const int status = status_of(context.curl, context.easy);
  if (call.sink != nullptr && status >= 200 && status < 300) return (*call.sink)(piece);
  if (call.response.body.size() + piece.size() > call.options.most_bytes) {
    return Error{"the answer of " + call.base_url + call.path + " is larger than " +
                     std::to_string(call.options.most_bytes) + " bytes",
                 ErrorKind::too_large};
  }
  call.response.body += piece;
  return success();
}

// No exception may pass through libcurl: it becomes the failure of the call.
template <typename Work>
bool guarded(Call& call, Work work) {
  try {
    const Status done = work();
    if (!done) call.failure = done.error();
  } catch (const std::exception& e) {
    call.failure = Error{e.what(), ErrorKind::internal};
  }
  return !call.failure;
}

// A new status line resets the headers: those of a `100 Continue` are discarded.
void take_header(Response& response, std::string_view line) {
  if (line.starts_with("HTTP/")) return response.headers.clear();
  const auto colon = line.find(':');
  if (colon == std::string_view::npos || response.headers.size() >= most_headers) return;
  std::string name(line.substr(0, colon));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto begin = line.find_first_not_of(" \t", colon + 1);
  const auto end = line.find_last_not_of(" \t\r\n");
  const bool empty = begin == std::string_view::npos || end < begin;
  response.headers[std::move(name)] = empty ? "" : std::string(line.substr(begin, end - begin + 1));
}

std::size_t on_body(char* data, std::size_t, std::size_t size, void* user) {
  auto& context = *static_cast<Context*>(user);
  return guarded(context.call, [&] { return take(context, {data, size}); }) ? size : 0;
}

std::size_t on_read(char* buffer, std::size_t, std::size_t size, void* user) {
  auto& call = static_cast<Context*>(user)->call;
  const auto count = std::fread(buffer, 1, size, call.upload);
  return count == 0 && std::ferror(call.upload) != 0 ? CURL_READFUNC_ABORT : count;
}

std::size_t on_header(char* data, std::size_t, std::size_t size, void* user) {
  auto& call = static_cast<Context*>(user)->call;
  return guarded(call,
                 [&] {
                   take_header(call.response, {data, size});
                   return success();
                 })
             ? size
             : 0;
}

// An upload restarts if the server has closed a reused connection.
int on_seek(void* user, curl_off_t offset, int origin) {
  auto& call = static_cast<Context*>(user)->call;
  return std::fseek(call.upload, static_cast<long>(offset), origin) == 0 ? CURL_SEEKFUNC_OK : CURL_SEEKFUNC_FAIL;
}

int on_progress(void* user, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up) {
  auto& call = static_cast<Context*>(user)->call;
  const bool upload = call.method == Method::put;
  const auto done = static_cast<std::uint64_t>(upload ? up : down);
  const auto total = static_cast<std::uint64_t>(upload ? up_total : down_total);
  return guarded(call,
                 [&] {
                   (*call.progress)(done, total);
                   return success();
                 })
             ? 0
             : 1;
}

// An abbreviation, such as SSL, keeps its capitals.
std::string lower_first(std::string text) {
  const auto upper = [&](std::size_t i) { return std::isupper(static_cast<unsigned char>(text[i])) != 0; };
  if (!text.empty() && !(text.size() > 1 && upper(0) && upper(1)))
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

Error bad_url(const std::string& url) {
  return Error{"'" + url + "' is not a URL of the form http://HOST:PORT", ErrorKind::invalid};
}

enum class Fault { stopped, timeout, unreachable, not_http, broken, bad_url };
constexpr std::array<std::pair<CURLcode, Fault>, 9> faults = {{
    {CURLE_ABORTED_BY_CALLBACK, Fault::stopped},
    {CURLE_OPERATION_TIMEDOUT, Fault::timeout},
    {CURLE_URL_MALFORMAT, Fault::bad_url},
    {CURLE_UNSUPPORTED_PROTOCOL, Fault::not_http},
    {CURLE_WEIRD_SERVER_REPLY, Fault::not_http},
    {CURLE_GOT_NOTHING, Fault::broken},
    {CURLE_PARTIAL_FILE, Fault::broken},
    {CURLE_RECV_ERROR, Fault::broken},
    {CURLE_SEND_ERROR, Fault::broken},
}};

Fault fault_of(CURLcode code) {
  const auto known = std::find_if(faults.begin(), faults.end(), [code](const auto& f) { return f.first == code; });
  return known == faults.end() ? Fault::unreachable : known->second;
}

}  // namespace

Transfer::Transfer(const Libcurl& curl) : curl_(curl), multi_(curl.multi_init()), easy_(curl.easy_init()) {
  if (multi_ != nullptr && easy_ != nullptr) return;
  if (easy_ != nullptr) curl_.easy_cleanup(easy_);
  if (multi_ != nullptr) curl_.multi_cleanup(multi_);
  throw std::bad_alloc();
}

Transfer::~Transfer() {
  curl_.easy_cleanup(easy_);
  curl_.multi_cleanup(multi_);
  curl_.slist_free_all(headers_);
}

template <typename Value>
void Transfer::set(CURLoption option, Value value) {
  curl_.easy_setopt(easy_, option, value);
}

void Transfer::add_header(const char* line) {
  if (auto* longer = curl_.slist_append(headers_, line); longer != nullptr) headers_ = longer;
}

void Transfer::prepare(Call& call) {
  curl_.easy_reset(easy_);
  curl_.slist_free_all(headers_);
  headers_ = nullptr;
  const auto url = call.base_url + call.path;
  set(CURLOPT_URL, url.c_str());  // libcurl copies strings
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_TCP_NODELAY, 1L);
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_USERAGENT, "edgefleet/" EDGEFLEET_VERSION);
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(to_ms(call.options.connect_timeout)));
  set(CURLOPT_TIMEOUT_MS, static_cast<long>(to_ms(call.options.timeout)));
  set(CURLOPT_LOW_SPEED_LIMIT, call.options.stall_timeout > Duration{0} ? 1L : 0L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(to_ms(call.options.stall_timeout) / 1000));
  const bool only_certificate = call.options.certificate == ServerCertificate::only;
  set(CURLOPT_CERTINFO, call.options.certificate == ServerCertificate::not_wanted ? 0L : 1L);
  set(CURLOPT_CONNECT_ONLY, only_certificate ? 1L : 0L);
  if (is_loopback(call.base_url) || only_certificate) set(CURLOPT_PROXY, "");
  prepare_body(call);
  if (call.credentials != nullptr) prepare_credentials(*call.credentials);
  if (call.headers != nullptr) {
    for (const auto& [name, value] : *call.headers) add_header((name + ": " + value).c_str());
  }
  set(CURLOPT_HTTPHEADER, headers_);
}

void Transfer::prepare_credentials(const Credentials& credentials) {
  if (credentials.unverified) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
  if (!credentials.ca.empty()) set(CURLOPT_CAINFO, credentials.ca.c_str());
  if (!credentials.certificate.empty()) {
    set(CURLOPT_SSLCERT, credentials.certificate.c_str());
    set(CURLOPT_SSLKEY, credentials.key.c_str());
  }
  if (!credentials.bearer.empty()) add_header(("Authorization: Bearer " + credentials.bearer).c_str());
}

void Transfer::prepare_body(Call& call) {
  const bool removes = call.method == Method::remove;
  if (call.method == Method::post || (removes && !call.body.empty())) {
    set(CURLOPT_POST, 1L);
    set(CURLOPT_POSTFIELDS, call.body.data());
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
    add_header("Content-Type: application/json");
    add_header("Expect:");  // saves a round trip
  }
  if (removes) set(CURLOPT_CUSTOMREQUEST, "DELETE");
  // Files keep `Expect: 100-continue`: a server without space refuses before the bytes are sent.
  if (call.method == Method::put) {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(call.upload_bytes));
    add_header("Content-Type: application/octet-stream");
  }
}

Result<Response> Transfer::run(Call& call, const Peer& peer) {
  if (!is_http_url(call.base_url)) return bad_url(call.base_url);
  Context context{curl_, easy_, call};
  prepare(call);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&context));
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&context));
  set(CURLOPT_READFUNCTION, on_read);
  set(CURLOPT_READDATA, static_cast<void*>(&context));
  set(CURLOPT_SEEKFUNCTION, on_seek);
  set(CURLOPT_SEEKDATA, static_cast<void*>(&context));
  if (call.progress != nullptr && *call.progress) {
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&context));
  }
  const auto code = perform(call);
  read_answer(call.response);
  if (call.options.certificate != ServerCertificate::not_wanted) call.response.certificate = server_certificate();
  if (code == CURLE_OK) return std::move(call.response);
  if (call.failure) return *call.failure;
  // A server that refuses an upload may close the connection early: its answer is the result.
  if (code == CURLE_SEND_ERROR && call.response.status >= 400) return std::move(call.response);
  return explain(code, call, peer);
}

CURLcode Transfer::perform(Call& call) {
  if (call.options.stop.stop_requested()) return CURLE_ABORTED_BY_CALLBACK;
  if (curl_.multi_add_handle(multi_, easy_) != CURLM_OK) return CURLE_FAILED_INIT;
  const auto code = loop(call);
  curl_.multi_remove_handle(multi_, easy_);
  return code;
}

CURLcode Transfer::loop(Call& call) {
  const std::stop_token& stop = call.options.stop;
  const int wait_ms = call.options.watch ? watched_poll_ms : poll_ms;
  const std::stop_callback wake(stop, [this] { curl_.multi_wakeup(multi_); });
  while (!stop.stop_requested()) {
    int running = 0;
    if (curl_.multi_perform(multi_, &running) != CURLM_OK) return CURLE_FAILED_INIT;
    if (const auto code = finished()) return *code;
    if (call.options.watch && !guarded(call, call.options.watch)) return CURLE_ABORTED_BY_CALLBACK;
    if (curl_.multi_poll(multi_, nullptr, 0, wait_ms, nullptr) != CURLM_OK) return CURLE_FAILED_INIT;
  }
  return CURLE_ABORTED_BY_CALLBACK;
}

std::optional<CURLcode> Transfer::finished() {
  int left = 0;
  while (const CURLMsg* message = curl_.multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) return message->data.result;
  }
  return std::nullopt;
}

void Transfer::read_answer(Response& response) {
  response.status = status_of(curl_, easy_);
  const char* type = nullptr;
  curl_.easy_getinfo(easy_, CURLINFO_CONTENT_TYPE, &type);
  if (type != nullptr) response.content_type = type;
  curl_off_t retry = 0;
  curl_.easy_getinfo(easy_, CURLINFO_RETRY_AFTER, &retry);
  if (retry > 0) response.retry_after = std::chrono::seconds(retry);
}

// The first of the chain. Each entry is a text NAME:VALUE.
std::string Transfer::server_certificate() {
  constexpr std::string_view name = "Cert:";
  curl_certinfo* chain = nullptr;
  if (curl_.easy_getinfo(easy_, CURLINFO_CERTINFO, &chain) != CURLE_OK || chain == nullptr) return {};
  for (const curl_slist* entry = chain->num_of_certs > 0 ? *chain->certinfo : nullptr; entry != nullptr;
       entry = entry->next) {
    const std::string_view text(entry->data);
    if (text.starts_with(name)) return std::string(text.substr(name.size()));
  }
  return {};
}

Error Transfer::explain(CURLcode code, const Call& call, const Peer& peer) {
  const auto unavailable = [](const std::string& message) { return Error{message, ErrorKind::unavailable}; };
  const auto at = peer.name + " at " + call.base_url;
  switch (fault_of(code)) {
    case Fault::stopped:
      return unavailable("stopped before " + call.base_url + call.path + " had answered");
    case Fault::timeout:
      return explain_timeout(call, peer);
    case Fault::broken:
      return unavailable("the connection to " + at + " broke before the answer was complete" +
                         (call.base_url.starts_with("http://") && call.response.status == 0
                              ? "; if it has TLS, as a coordinator after `setup`, its URL begins with https://"
                              : ""));
    case Fault::not_http:
      return unavailable("the server at " + call.base_url + " does not use HTTP; " + peer.hint);
    case Fault::bad_url:
      return bad_url(call.base_url);
    case Fault::unreachable:
      break;
  }
  long os_error = 0;
  curl_.easy_getinfo(easy_, CURLINFO_OS_ERRNO, &os_error);
  const auto system_says = code == CURLE_COULDNT_CONNECT && os_error != 0;
  const bool of_other = code == CURLE_PEER_FAILED_VERIFICATION;
  const bool own_authority = call.credentials != nullptr && !call.credentials->ca.empty();
  if (of_other && own_authority) {
    return unavailable(peer.name + " at " + call.base_url + " has no certificate of this fleet for this address (" +
                       lower_first(curl_.easy_strerror(code)) + "): it is another server, or its address has changed");
  }
  const auto why = code == CURLE_COULDNT_RESOLVE_HOST ? "the host name cannot be resolved"
                   : system_says                      ? error_text(static_cast<int>(os_error))
                                                      : std::string(curl_.easy_strerror(code));
  const auto next = code == CURLE_COULDNT_RESOLVE_HOST
                        ? "check it, or use an address (names in .local need libnss-mdns and avahi-daemon)"
                        : peer.hint;
  return unavailable("cannot reach " + at + ": " + lower_first(why) + "; " + next);
}

Error Transfer::explain_timeout(const Call& call, const Peer& peer) {
  double connected = 0;
  curl_.easy_getinfo(easy_, CURLINFO_CONNECT_TIME, &connected);
  if (connected <= 0) {
    return Error{"cannot reach " + peer.name + " at " + call.base_url + ": no connection within " +
                     exact_duration(call.options.connect_timeout) + "; " + peer.hint,
                 ErrorKind::unavailable};
  }
  double total = 0;
  curl_.easy_getinfo(easy_, CURLINFO_TOTAL_TIME, &total);
  const auto in_all = std::chrono::duration<double>(call.options.timeout).count();
  const bool stalled = call.options.timeout <= Duration{0} || total + 0.01 < in_all;
  const auto what = stalled ? ": no data for " + exact_duration(call.options.stall_timeout)
                            : " did not answer in full within " + exact_duration(call.options.timeout);
  return Error{peer.name + " at " + call.base_url + what, ErrorKind::unavailable};
}

}  // namespace edgefleet::http
