#include "coordinator/core/start_check.hpp"

namespace edgefleet::coordinator {

void StartCheck::subscribed(Time now) {
  began_ = now;
  until_ = now + (always_listen_ ? listening_time : answer_time);
  retained_.reset();
}

void StartCheck::status_seen(bool online, const Reign& reign, bool retained) {
  if (!until_) return;
  if (always_listen_) {
    if (online && !retained && reign.session != last_) other_ = reign;
    return;
  }
  if (!online) {
    // Its owner has stopped, or the broker has lost it.
    if (retained || (retained_ && retained_->session == reign.session)) until_ = began_;
    return;
  }
  if (!retained) {
    other_ = reign;
  } else if (reign.session == last_) {
    until_ = began_;
  } else {
    retained_ = reign;
    until_ = began_ + listening_time;
  }
}

void StartCheck::beat_seen(const Reign& reign, bool retained) {
  if (until_ && !retained && reign.session != last_) other_ = reign;
}

StartCheck::Verdict StartCheck::verdict(Time now) const {
  if (other_) return Verdict::other_works;
  return until_ && *until_ <= now ? Verdict::may_start : Verdict::listening;
}

}  // namespace edgefleet::coordinator
