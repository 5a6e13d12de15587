// doctor: looks for what is wrong, and says what to do.
#include "cli/core/doctor.hpp"

#include <memory>
#include <thread>

#include "cli/commands/command.hpp"
#include "common/http/problem.hpp"
#include "common/logins/logins.hpp"
#include "common/pki/certificate.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::cli {
namespace {

constexpr Duration quiet = std::chrono::seconds(2);  // without a line about what is being done
constexpr Duration between_looks = std::chrono::milliseconds(100);
constexpr Duration patience = std::chrono::seconds(5);
constexpr Duration trial_patience = std::chrono::seconds(60);

class Doctor {
 public:
  Doctor(Session& session, const Login* login) : session_(session), login_(login) {}

  Evidence look(bool with_trial) {
    seen_.now = wall_now();
    seen_.url = session_.client().base_url();
    seen_.has_login = login_ != nullptr;
    if (!ask_api()) return end();
    seen_.ready = ask("the store", "/ready", true);
    if (with_trial && seen_.open) seen_.trial_problem = "there is no setup yet";
    if (seen_.open || !seen_.refusal.empty()) return end();
    look_at_broker();
    seen_.enrolled = ask("the agents", "/api/v1/enrolled-agents");
    seen_.accesses = ask("the accesses", "/api/v1/accesses");
    seen_.broker = ask_about_broker();
    if (with_trial) try_broker();
    return end();
  }

 private:
  // False: it does not answer.
  bool ask_api() {
    const WallTime before = wall_now();
    auto options = options_of("the API", patience);
    options.certificate = http::ServerCertificate::wanted;
    const auto answer = session_.client().get("/api/v1/access", options);
    if (!answer) {
      seen_.api_problem = answer.error().message;
      return false;
    }
    seen_.api.end = end_of(answer->certificate);
    take_clock(before, *answer);
    seen_.open = answer->status == 404;
    if (answer->ok()) {
      seen_.access = parse_document(answer->body).value_or(Document());
    } else if (!seen_.open) {
      seen_.refusal = http::to_error(*answer).message;
    }
    return true;
  }

  // Its header has whole seconds, so it is half a second later on average.
  void take_clock(WallTime before, const http::Response& answer) {
    const auto date = answer.headers.find("date");
    const auto theirs = date == answer.headers.end() ? std::nullopt : parse_http_date(date->second);
    if (!theirs) return;
    const auto ours = (before.unix_ms + wall_now().unix_ms) / 2;
    seen_.clock = std::chrono::milliseconds(theirs->unix_ms + 500 - ours);
  }

  void look_at_broker() {
    const auto& mqtt = member_of(seen_.access, "mqtt");
    const std::string host = text_of(mqtt, "host");
    if (host.empty()) return;
    const bool address = host.find(':') != std::string::npos;
    const std::string url =
        "https://" + (address ? "[" + host + "]" : host) + ":" + std::to_string(count_of(mqtt, "port"));
    http::Credentials credentials;
    if (login_ != nullptr) credentials.ca = login_->ca_file;
    http::Client client(url, {"the broker", "does it run there?"}, credentials);
    auto options = options_of("the broker", patience);
    options.certificate = http::ServerCertificate::only;
    const auto answer = client.get("/", options);
    if (!answer) {
      seen_.broker_seen.problem = answer.error().message;
    } else {
      seen_.broker_seen.end = end_of(answer->certificate);
    }
  }

  void try_broker() {
    const auto answer =
        session_.client().post("/api/v1/broker/try", "{}", options_of("what the broker must refuse", trial_patience));
    const auto body = http::expect_success(answer);
    const auto document = body ? parse_document(body->body) : std::nullopt;
    if (document) {
      seen_.trial = *document;
    } else {
      seen_.trial_problem = body ? "the answer is not from a coordinator" : body.error().message;
    }
  }

  // The broker needs a second or two for new files, such as after a change of an access.
  Document ask_about_broker() {
    const Time until = monotonic_now() + patience;
    for (;;) {
      Document broker = ask("the broker's files", "/api/v1/broker");
      const bool settled =
          text_of(broker, "generation") == text_of(broker, "wanted") || !text_of(broker, "refused").empty();
      if (settled || text_of(broker, "state") != "running" || monotonic_now() >= until) return broker;
      (void)show_progress("the broker's files");
      std::this_thread::sleep_for(between_looks);
    }
  }

  // Null: there is no answer, or the login may not see it. `always`: its body counts, whatever its status is.
  Document ask(const std::string& what, const std::string& path, bool always = false) {
    const auto answer = session_.client().get(path, options_of(what, patience));
    if (!answer || !(always || answer->ok())) return {};
    return parse_document(answer->body).value_or(Document());
  }

  http::Options options_of(const std::string& what, Duration longest) {
    http::Options options;
    options.timeout = longest;
    options.watch = [this, what] { return show_progress(what); };
    return options;
  }

  Status show_progress(const std::string& what) {
    const Duration since = monotonic_now() - began_;
    if (since < quiet) return success();
    if (session_.live()) {
      session_.show_live("looking at " + what + ", " + std::to_string(to_ms(since) / 1000) + " s");
      shown_ = true;
    } else if (!shown_) {
      session_.note("looking at " + what + " ...");
      shown_ = true;
    }
    return success();
  }

  static std::optional<WallTime> end_of(const std::string& pem) {
    const auto certificate = pki::Certificate::from_pem(pem);
    if (!certificate) return std::nullopt;
    return WallTime{certificate->not_after() * 1000};
  }

  Evidence end() {
    if (shown_ && session_.live()) session_.show_live("");
    return std::move(seen_);
  }

  Session& session_;
  const Login* login_;
  const Time began_ = monotonic_now();
  bool shown_ = false;
  Evidence seen_;
};

Exit examine_fleet(Session& session, bool with_trial) {
  const auto logins = read_logins(logins_folder());
  if (!logins) return session.fail(logins.error());
  const auto results = examine(Doctor(session, logins->find(session.client().base_url())).look(with_trial));
  session.print(session.json() ? results_json(results) : show_results(results, session.look()));
  return worst_of(results) == Severity::problem ? Exit::task_failed : Exit::ok;
}

}  // namespace

Run declare_doctor(CLI::App& app) {
  auto with_trial = std::make_shared<bool>(false);
  app.add_flag("--broker", *with_trial,
               "also try all that the broker must refuse, with identities that exist for this time only; needs the "
               "role admin");
  return [with_trial](Session& session) { return examine_fleet(session, *with_trial); };
}

}  // namespace edgefleet::cli
