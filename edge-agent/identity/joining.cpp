#include "edge-agent/identity/joining.hpp"

#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

#include "common/files/folder.hpp"
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

// A success, or an error that names the server.
Result<http::Response> success_of(Result<http::Response> answer, const std::string& url) {
  if (!answer || answer->ok()) return answer;
  return http::to_error(*answer).context("the server at " + url);
}

Result<pki::Certificate> fetch_ca(const std::string& url, const std::stop_token& stop) {
  http::Client client(url, peer, {.unverified = true});
  const auto answer = success_of(client.get(std::string(join::ca_path), call_options(stop)), url);
  if (!answer) return answer.error();
  auto ca = pki::Certificate::from_pem(answer->body);
  if (!ca) return Error{"the server at " + url + " sends no certificate: it is not a coordinator's port for agents"};
  return ca;
}

Result<Identity> keep(const JoinOptions& options, const pki::Key& key, const pki::Certificate& ca,
                      const std::string& body, const Tell& tell) {
  const auto joined = join::decode_joined(body);
  if (!joined) return joined.error().context("the coordinator's answer");
  const auto same = pki::Certificate::from_pem(joined->ca);
  if (!same || same->fingerprint() != ca.fingerprint()) {
    return invalid("the coordinator's answer names another CA than it uses");
  }
  auto kept = keep_identity(options.work, key, *joined);
  if (!kept && kept.error().kind == ErrorKind::invalid) return kept.error().context("the coordinator's answer");
  if (kept && kept->name != options.machine.name) {
    tell("the coordinator calls this machine " + kept->name + ", not " + options.machine.name +
         (options.machine.named ? "" : ", which is another machine's name"));
  }
  return kept;
}

// None: no server has answered that may say what becomes of the token.
using Answer = std::optional<Result<Identity>>;

struct Attempt {
  const join::Token& token;
  const JoinOptions& options;
  const Tell& tell;
  const std::stop_token& stop;
};

// The POST over a connection that was verified.
Result<http::Response> send_secret(const std::string& url, const pki::Key& key, const Attempt& attempt,
                                   const pki::Certificate& ca) {
  auto verified = Verified::make(url, ca, attempt.options.work);
  if (!verified) return verified.error();
  const auto request = pki::make_request(key, attempt.options.machine.name);
  if (!request) return request.error();
  return (*verified)->client().post(
      std::string(join::join_path),
      join::encode(join::WithToken{attempt.token.secret, *request, attempt.options.machine}),
      call_options(attempt.stop));
}

Answer join_at(const std::string& url, const pki::Key& key, const Attempt& attempt, Error& failure) {
  const auto ca = fetch_ca(url, attempt.stop);
  if (!ca) {
    failure = ca.error();
    return std::nullopt;
  }
  if (ca->fingerprint() != attempt.token.ca_sha256) {
    failure = {"the server at " + url +
                   " has another CA than this token names: it is not this fleet's coordinator, or somebody is between "
                   "the two. The token's secret was not sent to it",
               ErrorKind::forbidden};
    return std::nullopt;
  }
  auto answer = send_secret(url, key, attempt, *ca);
  if (!answer) {
    failure = answer.error();
    return std::nullopt;
  }
  if (answer->status >= 500) {
    failure = success_of(std::move(answer), url).error();
    return std::nullopt;
  }
  if (!answer->ok()) return success_of(std::move(answer), url).error();
  return keep(attempt.options, key, *ca, answer->body, attempt.tell);
}

Result<Identity> join_anywhere(const pki::Key& key, const Attempt& attempt) {
  Error last{"interrupted", ErrorKind::unavailable};
  for (const auto& address : attempt.token.addresses) {
    if (attempt.stop.stop_requested()) return Error{"interrupted", ErrorKind::unavailable};
    const std::string url = "https://" + address;
    attempt.tell("joining at " + url);
    if (auto answer = join_at(url, key, attempt, last)) return std::move(*answer);
    attempt.tell(last.message);
  }
  if (attempt.token.addresses.size() == 1) return last;
  return Error{"no address of the token could be used; the last one: " + last.message, last.kind};
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

// The coordinator may be restarted meanwhile; then it does not know the request any more, and says so.
bool may_pass(const Error& failure) {
  return failure.kind == ErrorKind::unavailable || failure.kind == ErrorKind::busy;
}

// What a person sees while nothing happens.
class WaitReport {
 public:
  WaitReport(const Tell& tell, Time until) : tell_(tell), until_(until), next_(monotonic_now() + pause_) {}

  void waits() {
    failing_ = false;
    const Time now = monotonic_now();
    if (now < next_ || now >= until_) return;
    next_ = now + pause_;
    tell_("still waiting; " + std::to_string(std::chrono::ceil<std::chrono::minutes>(until_ - now).count()) +
          " minutes left");
  }
  void fails(const Error& failure) {
    if (!std::exchange(failing_, true)) tell_(failure.message + "; trying again");
  }

 private:
  static constexpr Duration pause_ = std::chrono::minutes(1);
  const Tell& tell_;
  const Time until_;
  Time next_;
  bool failing_ = false;
};

struct Wait {
  http::Client& client;
  std::string path;  // of the request
  const JoinOptions& options;
  const Tell& tell;
};

Result<Identity> await_answer(const Wait& wait, const pki::Key& key, const pki::Certificate& ca,
                              const std::stop_token& stop) {
  const Time until = monotonic_now() + wait.options.patience;
  WaitReport report(wait.tell, until);
  while (pause(wait.options.poll, stop)) {
    const auto answer = success_of(wait.client.get(wait.path, call_options(stop)), wait.client.base_url());
    if (stop.stop_requested()) break;
    if (!answer && !may_pass(answer.error())) return answer.error();
    if (answer && answer->status == 200) return keep(wait.options, key, ca, answer->body, wait.tell);
    if (!answer) report.fails(answer.error());
    if (answer) report.waits();
    if (monotonic_now() >= until) {
      return Error{"nobody has accepted this machine in time; ask again with the same command", ErrorKind::unavailable};
    }
  }
  return Error{"interrupted", ErrorKind::unavailable};
}

}  // namespace

Result<Identity> join_with_token(const join::Token& token, const JoinOptions& options, const Tell& tell,
                                 const std::stop_token& stop) {
  auto key = key_for_join(options.work);
  if (!key) return key.error();
  const Attempt attempt{token, options, tell, stop};
  auto joined = join_anywhere(*key, attempt);
  if (joined || joined.error().kind != ErrorKind::conflict) return joined;
  // The key of an earlier run may have been accepted for another token or by a code, and its answer was lost.
  key = new_key_for_join(options.work);
  if (!key) return key.error();
  return join_anywhere(*key, attempt);
}

Result<Identity> join_by_code(const std::string& address, const JoinOptions& options, const Tell& tell,
                              const std::stop_token& stop) {
  // Always a new key: a request is good for one connection, and nobody asks for its answer after a kill. It is kept
  // with the answer.
  const auto key = pki::Key::make();
  if (!key) return key.error();
  if (auto made = make_private_folder(options.work, "--work"); !made) return made.error();
  if (auto made = make_private_folder(IdentityFiles(options.work).folder, "--work"); !made) return made.error();
  const std::string url = url_of(address);
  const std::string key_sha256 = key->public_key().sha256();
  // From the system's source of randomness, as the key is.
  const auto random = pki::Key::make();
  if (!random) return random.error();
  const std::string nonce = sha256(random->public_key().der());

  http::Client unverified(url, peer, {.unverified = true});
  const auto first = success_of(
      unverified.post(std::string(join::requests_path),
                      join::encode(join::Commitment{join::commitment_of(key_sha256, nonce), options.machine}),
                      call_options(stop)),
      url);
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
      success_of(client.post(path, join::encode(join::Opening{nonce, *request}), call_options(stop)), url);
  if (!opened) return opened.error();
  const auto code = join::code_of(ca->fingerprint(), key_sha256, nonce, challenge->nonce);
  tell("This machine asks to join the fleet at " + url + ". Its code:\n\n    " + code +
       "\n\nWhere an administrator is logged in, accept it: edgefleet agents accept " + code);
  return await_answer({client, path, options, tell}, *key, *ca, stop);
}

Result<std::string> ca_seen_at(const std::string& address, const std::stop_token& stop) {
  const auto ca = fetch_ca(url_of(address), stop);
  if (!ca) return ca.error();
  return ca->fingerprint();
}

}  // namespace edgefleet::agent
