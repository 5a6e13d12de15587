#include "common/mqtt/session.hpp"

#include "common/core/random.hpp"

namespace edgefleet::mqtt {
namespace {

// Reason codes of MQTT 5: topic name invalid, packet too large, payload format invalid. Others may change with time.
bool refuses_for_good(int code) { return code == 144 || code == 149 || code == 153; }

}  // namespace

std::string what_is_missing(const BrokerLimits& limits) {
  if (limits.qos < 1) return "it allows QoS 0 only; edgefleet needs QoS 1";
  if (!limits.retain) return "it allows no retained messages, which edgefleet needs";
  return {};
}

Actions Session::start(Time) {
  state_ = State::connecting;
  return {DoConnect{}};
}

bool Session::worth_telling(const std::string& reason, Time now) {
  if (reason == told_ && now < tell_again_) return false;
  times_told_ = reason == told_ ? times_told_ + 1 : 1;
  told_ = reason;
  tell_again_ = now + tell_backoff_.ceiling(times_told_);
  return true;
}

Actions Session::retry_later(Time now, const std::string& reason, bool refused) {
  const bool was_up = state_ == State::up;
  state_ = State::down;
  dropped_ += waiting_.size();
  waiting_.clear();
  in_flight_ = 0;
  alone_in_flight_ = false;
  ++failures_;
  // Half fixed, half jitter: a fleet must not reconnect at the same moment, and no retry may be immediate.
  const Duration half = (refused ? refused_backoff_ : backoff_).ceiling(failures_) / 2;
  retry_at_ = now + half + Backoff{half, half}.pause(1, next_jitter(random_));
  if (was_up || !worth_telling(reason, now)) return {};
  return {TellTrouble{reason + (times_told_ > 1 ? " (still)" : "") + "; trying again"}};
}

Actions Session::retry_soon(Time now) {
  state_ = State::down;
  retry_at_ = now + early_pause;
  return {};
}

Actions Session::on(const ClientEvent& event, Time now) {
  struct Visitor {
    Session& self;
    Time now;
    Actions operator()(const Connected& connected) const {
      if (self.state_ != State::connecting) return {};
      self.limits_ = connected.limits;
      if (const auto missing = what_is_missing(connected.limits); !missing.empty()) {
        return self.retry_later(now, missing, true);
      }
      self.state_ = State::subscribing;
      self.in_flight_ = 0;
      self.alone_in_flight_ = false;
      return {DoSubscribe{}};
    }
    Actions operator()(const ConnectFailed& failed) const {
      if (self.state_ != State::connecting) return {};
      if (failed.early) return self.retry_soon(now);
      return self.retry_later(now, failed.reason, failed.refused);
    }
    Actions operator()(const ConnectionLost& lost) const {
      if (self.state_ == State::down) return {};
      const bool was_up = self.state_ == State::up;
      auto actions = self.retry_later(now, lost.reason);
      if (was_up) actions.emplace_back(TellDown{lost.reason, lost.code});
      return actions;
    }
    Actions operator()(const Subscribed&) const {
      if (self.state_ != State::subscribing) return {};
      self.state_ = State::up;
      self.failures_ = 0;
      self.told_.clear();
      return {TellUp{}};
    }
    // The connection is open but of no use: without a connection loss there would be no retry, so retry here.
    Actions operator()(const SubscribeFailed& failed) const {
      if (self.state_ != State::subscribing) return {};
      return self.retry_later(now, "cannot subscribe: " + failed.reason);
    }
    Actions operator()(const Delivered& delivered) const {
      Actions actions;
      if (self.in_flight_ > 0) --self.in_flight_;
      if (self.in_flight_ == 0) self.alone_in_flight_ = false;
      if (!delivered.ok && refuses_for_good(delivered.code)) {
        actions.emplace_back(TellRefused{delivered.id, "the broker refuses it: " + delivered.reason});
      } else if (!delivered.ok && self.state_ == State::up) {
        actions.emplace_back(TellTrouble{"the broker did not accept a message: " + delivered.reason});
      }
      self.send_waiting(actions);
      return actions;
    }
    Actions operator()(const Received&) const { return {}; }
  };
  return std::visit(Visitor{*this, now}, event);
}

Actions Session::publish(Message message, bool alone) {
  if (state_ != State::up || waiting_.size() >= most_waiting) {
    ++dropped_;
    return {};
  }
  const std::size_t bytes = message.topic.size() + message.payload.size() + around_payload;
  if (bytes > limits_.packet_bytes) {
    return {TellRefused{message.id, "the message has " + std::to_string(message.payload.size()) +
                                        " bytes; the largest packet that the broker allows has " +
                                        std::to_string(limits_.packet_bytes) + " (max_packet_size)"}};
  }
  waiting_.push_back({std::move(message), alone});
  Actions actions;
  send_waiting(actions);
  return actions;
}

bool Session::may_send() const {
  if (state_ != State::up || waiting_.empty() || alone_in_flight_) return false;
  return waiting_.front().alone ? in_flight_ == 0 : in_flight_ < most_in_flight();
}

void Session::send_waiting(Actions& actions) {
  while (may_send()) {
    ++in_flight_;
    alone_in_flight_ = waiting_.front().alone;
    actions.emplace_back(DoSend{std::move(waiting_.front().message)});
    waiting_.pop_front();
  }
}

Actions Session::tick(Time now) {
  if (!retry_at_ || now < *retry_at_) return {};
  retry_at_.reset();
  state_ = State::connecting;
  return {DoConnect{}};
}

}  // namespace edgefleet::mqtt
