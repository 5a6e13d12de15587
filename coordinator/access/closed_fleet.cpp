#include "coordinator/access/closed_fleet.hpp"

#include <thread>

#include "common/system/clock.hpp"
#include "coordinator/access/broker_files.hpp"
#include "coordinator/access/fleet_restore.hpp"

namespace edgefleet::coordinator {
namespace {

constexpr Duration usual_pause = std::chrono::minutes(1);
constexpr Duration expired_kept = std::chrono::hours(1);  // so that it can be seen why a key is refused
constexpr Duration look_again = std::chrono::milliseconds(50);

std::int64_t seconds_now() { return wall_now().unix_ms / 1000; }

}  // namespace

ClosedFleet::ClosedFleet(std::string directory, Setup setup, pki::Authority authority,
                         std::unique_ptr<AccessDatabase> database)
    : directory_(std::move(directory)),
      setup_(std::move(setup)),
      authority_(std::move(authority)),
      database_(std::move(database)),
      join_requests_(authority_.certificate()) {}

Result<std::unique_ptr<ClosedFleet>> ClosedFleet::open(const std::string& directory) {
  auto setup = read_setup(directory);
  if (!setup) return setup.error();
  if (auto removed = remove_unused_authorities(directory); !removed) return removed.error();
  if (auto removed = remove_unused_restores(directory); !removed) return removed.error();
  auto authority = load_authority(directory);
  if (!authority) return authority.error();
  auto database = AccessDatabase::open(directory);
  if (!database) return database.error();
  std::unique_ptr<ClosedFleet> fleet(
      new ClosedFleet(directory, std::move(*setup), std::move(*authority), std::move(*database)));
  auto accesses = Registry::open(*fleet->database_);
  if (!accesses) return accesses.error();
  fleet->accesses_ = std::move(*accesses);
  auto enrolment =
      Enrolment::open(*fleet->database_, fleet->authority_, seconds_now, fleet->setup_.certificate_seconds);
  if (!enrolment) return enrolment.error();
  fleet->enrolment_ = std::move(*enrolment);
  // The broker's list is newer than data that was copied back by hand.
  const auto broker_list =
      read_text(fleet->setup_.broker_folder + "/current/" + broker_file::revoked, pki::most_crl_text);
  if (broker_list) (void)fleet->unite(*broker_list);
  remove_brief_certificates(directory);
  if (auto ready = fleet->maintain(); !ready) return ready.error();
  return fleet;
}

// The one that the broker has, if it says the same: a signature is another one each time.
Result<std::string> ClosedFleet::crl() const {
  const auto wanted = enrolment_->revoked();
  if (!wanted) return wanted.error();
  auto present = read_text(setup_.broker_folder + "/current/" + broker_file::revoked, pki::most_crl_text);
  if (present) {
    const auto list = pki::read_crl(*present, authority_.certificate());
    if (list && list->number == wanted->number && list->revoked == wanted->revoked) return present;
  }
  return authority_.crl(wanted->number, wanted->revoked);
}

// The agents last: with them the number rises, so that a run that is killed before is repeated.
Result<std::vector<std::string>> ClosedFleet::unite(const std::string& crl_pem) {
  const auto list = pki::read_crl(crl_pem, authority_.certificate());
  if (!list) return list.error();
  const auto own = enrolment_->revoked();
  if (!own) return own.error();
  if (list->number <= own->number) return std::vector<std::string>();
  if (const auto removed = accesses_->unite(*list); !removed) return removed.error();
  return enrolment_->unite(*list);
}

Result<BrokerTexts> ClosedFleet::broker_texts() const {
  BrokerListeners listeners;
  listeners.agents.address = listeners.people.address = setup_.broker_address;
  listeners.agents.port = setup_.broker_agents_port;
  listeners.people.port = setup_.broker_people_port;
  const auto configuration = broker_configuration(listeners);
  if (!configuration) return configuration.error();
  std::vector<Person> people;
  const WallTime now = wall_now();
  for (const Access& access : accesses_->accesses()) {
    if (access.ended(now)) continue;
    people.push_back({*ClientName::parse(access.name), access.role, access.password});
  }
  {
    const std::lock_guard lock(trial_mutex_);
    people.insert(people.end(), guests_.begin(), guests_.end());
  }
  const auto acl = people_acl(setup_.fleet, people);
  if (!acl) return acl.error();
  const auto canary = canary_access(directory_);
  if (!canary) return canary.error();
  const auto passwords = password_file(people, canary->password);
  if (!passwords) return passwords.error();
  const auto revoked = crl();
  if (!revoked) return revoked.error();
  const auto files = certificate_files(directory_, "broker");
  const auto certificate = read_text(files.certificate);
  if (!certificate) return certificate.error();
  const auto key = read_text(files.key);
  if (!key) return key.error();
  return BrokerTexts{*configuration,
                     agents_acl(setup_.fleet),
                     *acl,
                     *passwords,
                     authority_.certificate().pem(),
                     *revoked,
                     *certificate,
                     *key};
}

// What the broker has is read from its folder: another coordinator or a restored backup may have changed it.
Result<std::string> ClosedFleet::publish() {
  const std::lock_guard lock(publishing_);
  const auto texts = broker_texts();
  if (!texts) return texts.error().context("the broker's files");
  {
    const std::lock_guard list(list_mutex_);
    if (!list_ || *list_ != texts->revoked) list_ = std::make_shared<const std::string>(texts->revoked);
  }
  const BrokerFolder folder{setup_.broker_folder, {}, broker_state().generation};
  if (has_generation(folder.path, *texts)) return current_generation(folder.path);
  return write_generation(folder, *texts);
}

std::shared_ptr<const std::string> ClosedFleet::published_list() const {
  const std::lock_guard list(list_mutex_);
  return list_;
}

Status ClosedFleet::await_broker(const std::string& generation, Duration patience) const {
  const Time until = monotonic_now() + patience;
  while (broker_state().generation < generation) {
    if (monotonic_now() >= until) {
      return Error{"the broker has not taken its new files; see " + setup_.broker_run + "/state",
                   ErrorKind::unavailable};
    }
    std::this_thread::sleep_for(look_again);
  }
  return success();
}

Duration ClosedFleet::maintenance_pause() const {
  const std::chrono::seconds part(setup_.certificate_seconds / 12);  // so that no certificate ends in between
  return setup_.certificate_seconds > 0 ? std::min<Duration>(usual_pause, part) : usual_pause;
}

void ClosedFleet::set_guests(std::vector<Person> guests) {
  const std::lock_guard lock(trial_mutex_);
  guests_ = std::move(guests);
}

std::optional<std::unique_lock<std::mutex>> ClosedFleet::turn_to_try() {
  std::unique_lock turn(trying_, std::try_to_lock);
  if (!turn) return std::nullopt;
  return turn;
}

void ClosedFleet::note_trial(const BrokerTrial& found) {
  const std::lock_guard lock(trial_mutex_);
  last_trial_ = found;
}

std::optional<BrokerTrial> ClosedFleet::last_trial() const {
  const std::lock_guard lock(trial_mutex_);
  return last_trial_;
}

Result<std::vector<std::string>> ClosedFleet::maintain() {
  if (auto looked = enrolment_->look_at_clock(monotonic_now()); !looked) return looked.error();
  auto fresh = make_certificates(directory_, setup_, authority_, seconds_now());
  if (!fresh) return fresh.error();
  const auto revoked = read_text(certificate_files(directory_, "revoked").certificate);
  if (!revoked) return revoked.error();
  const auto certificate = pki::Certificate::from_pem(*revoked);
  if (!certificate) return certificate.error();
  if (auto kept = enrolment_->revoke_certificate(std::string(actor::setup), *certificate); !kept) return kept.error();
  const WallTime kept_until{std::min(wall_now(), enrolment_->settled()).unix_ms - to_ms(expired_kept)};
  if (const auto removed = accesses_->remove_expired(kept_until); !removed) return removed.error();
  if (const auto written = write_refusals(); !written) return written.error();
  if (const auto published = publish(); !published) return published.error();
  return fresh;
}

Result<std::uint64_t> ClosedFleet::write_refusals() {
  const auto refused = refusals_.take();
  std::uint64_t count = 0;
  for (const Refusal& one : refused) count += one.count;
  if (count == 0) return count;
  if (auto written = database_->write_refusals(wall_now(), refused); !written) return written.error();
  return count;
}

}  // namespace edgefleet::coordinator
