#include "edge-agent/identity/joining.hpp"

#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "common/files/private_file.hpp"
#include "common/files/text_digest.hpp"
#include "common/http/client.hpp"
#include "common/http/problem.hpp"
#include "common/pki/request.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::agent {
namespace {

constexpr std::size_t most_answer = 256UL << 10U;
constexpr const char* agents_port = "7002";

http::Options call_options(const std::stop_token& stop) {
  http::Options options;
  options.most_bytes = most_answer;
  options.stop = stop;
  return options;
}

const http::Peer peer{"the coordinator's port for agents", "is edgefleet-coordinator running there, after `setup`?"};

// A server that is certified by this CA, for the address that is used. The file lives as long as the client.
class Verified {
 public:
  static Result<std::unique_ptr<Verified>> make(const std::string& url, const pki::Certificate& ca,
                                                const std::string& work) {
    const std::string file = IdentityFiles(work).folder + "/joining-ca.crt";
    if (auto written = write_private_file(file, ca.pem()); !written) return written.error();
    return std::unique_ptr<Verified>(new Verified(url, file));
  }
  Verified(const Verified&) = delete;
  Verified& operator=(const Verified&) = delete;
  Verified(Verified&&) = delete;
  Verified& operator=(Verified&&) = delete;
  ~Verified() { ::unlink(file_.c_str()); }
  http::Client& client() { return client_; }

 private:
  Verified(const std::string& url, std::string file) : file_(std::move(file)), client_(url, peer, {.ca = file_}) {}
  std::string file_;
  http::Client client_;
};

Result<pki::Certificate> fetch_ca(const std::string& url, const std::stop_token& stop) {
  http::Client client(url, peer, {.unverified = true});
  const auto answer = http::expect_success(client.get(std::string(join::ca_path), call_options(stop)));
  if (!answer) return answer.error();
  auto ca = pki::Certificate::from_pem(answer->body);
  if (!ca) return Error{"the server at " + url + " sends no certificate: it is not a coordinator's port for agents"};
  return ca;
}

Result<Identity> keep(const JoinOptions& options, const pki::Key& key, const pki::Certificate& ca,
                      const std::string& body) {
  const auto joined = join::decode_joined(body);
  if (!joined) return joined.error().context("the coordinator's answer");
  const auto same = pki::Certificate::from_pem(joined->ca);
  if (!same || same->fingerprint() != ca.fingerprint()) {
    return invalid("the coordinator's answer names another CA than it uses");
  }
  auto kept = keep_identity(options.work, key, *joined);
  return kept ? std::move(kept) : Result<Identity>(kept.error().context("the coordinator's answer"));
}

Result<Identity> join_at(const std::string& url, const join::Token& token, const JoinOptions& options,
                         const pki::Key& key, const std::stop_token& stop) {
  const auto ca = fetch_ca(url, stop);
  if (!ca) return ca.error();
  if (ca->fingerprint() != token.ca_sha256) {
    return Error{"the server at " + url +
                     " has another CA than this token names: it is not this fleet's coordinator, "
                     "or somebody is between the two. Nothing was sent to it",
                 ErrorKind::forbidden};
  }
  auto verified = Verified::make(url, *ca, options.work);
  if (!verified) return verified.error();
  const auto request = pki::make_request(key, options.machine.name);
  if (!request) return request.error();
  const auto answer = http::expect_success((*verified)->client().post(
      std::string(join::join_path), join::encode(join::WithToken{token.secret, *request, options.machine}),
      call_options(stop)));
  if (!answer) return answer.error();
  return keep(options, key, *ca, answer->body);
}

bool pause(Duration length, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any rings;
  std::unique_lock lock(mutex);
  rings.wait_for(lock, stop, length, [] { return false; });
  return !stop.stop_requested();
}

std::string url_of(const std::string& address) {
  const auto bracket = address.rfind(']');
  const auto colon = address.rfind(':');
  const bool has_port = colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  return "https://" + address + (has_port ? "" : std::string(":") + agents_port);
}

Result<Identity> await_answer(http::Client& client, const std::string& path, const JoinOptions& options,
                              const pki::Key& key, const pki::Certificate& ca, const std::stop_token& stop) {
  const Time until = monotonic_now() + options.patience;
  while (pause(options.poll, stop)) {
    const auto answer = client.get(path, call_options(stop));
    // The coordinator may be restarted meanwhile; then it does not know the request any more, and says so.
    if (!answer && answer.error().kind != ErrorKind::unavailable) return answer.error();
    if (answer && !answer->ok()) return http::to_error(*answer);
    if (answer && answer->status == 200) return keep(options, key, ca, answer->body);
    if (monotonic_now() >= until) break;
  }
  return stop.stop_requested() ? Error{"interrupted", ErrorKind::unavailable}
                               : Error{"nobody has accepted this machine within an hour; ask again"};
}

}  // namespace

Result<Identity> join_with_token(const join::Token& token, const JoinOptions& options, const Tell& tell,
                                 const std::stop_token& stop) {
  const auto key = key_for_join(options.work);
  if (!key) return key.error();
  std::optional<Error> last;
  for (const auto& address : token.addresses) {
    if (stop.stop_requested()) break;
    const std::string url = "https://" + address;
    tell("joining at " + url);
    auto joined = join_at(url, token, options, *key, stop);
    if (joined) return joined;
    // An answer of the fleet's coordinator is the answer; otherwise the next address may be reachable.
    if (joined.error().kind != ErrorKind::unavailable && joined.error().kind != ErrorKind::internal) return joined;
    tell(joined.error().message);
    last = joined.error();
  }
  if (!last) return Error{"interrupted", ErrorKind::unavailable};
  return Error{"no address of the token could be used; the last one: " + last->message, last->kind};
}

Result<Identity> join_by_code(const std::string& address, const JoinOptions& options, const Tell& tell,
                              const std::stop_token& stop) {
  const auto key = key_for_join(options.work);
  if (!key) return key.error();
  const std::string url = url_of(address);
  const std::string key_sha256 = key->public_key().sha256();
  // From the system's source of randomness, as the key is.
  const auto random = pki::Key::make();
  if (!random) return random.error();
  const std::string nonce = sha256(random->public_key().der());

  http::Client unverified(url, peer, {.unverified = true});
  const auto first = http::expect_success(unverified.post(
      std::string(join::requests_path),
      join::encode(join::Commitment{join::commitment_of(key_sha256, nonce), options.machine}), call_options(stop)));
  if (!first) return first.error();
  const auto challenge = join::decode_challenge(first->body);
  if (!challenge) return challenge.error().context("the answer of " + url);
  const auto ca = pki::Certificate::from_pem(challenge->ca);
  if (!ca) return ca.error().context("the CA of " + url);

  auto verified = Verified::make(url, *ca, options.work);
  if (!verified) return verified.error();
  http::Client& client = (*verified)->client();
  const auto request = pki::make_request(*key, options.machine.name);
  if (!request) return request.error();
  const std::string path = std::string(join::requests_path) + '/' + challenge->id;
  const auto opened =
      http::expect_success(client.post(path, join::encode(join::Opening{nonce, *request}), call_options(stop)));
  if (!opened) return opened.error();
  const auto code = join::code_of(ca->fingerprint(), key_sha256, nonce, challenge->nonce);
  tell("This machine asks to join the fleet at " + url + ". Its code:\n\n    " + code +
       "\n\nWhere an administrator is logged in, accept it: edgefleet agents accept " + code);
  return await_answer(client, path, options, *key, *ca, stop);
}

}  // namespace edgefleet::agent
