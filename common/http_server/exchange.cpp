#include "common/http_server/exchange.hpp"

#include <algorithm>

#include "common/http_server/connection.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::http_server {
namespace {

Reply without_text(int status) { return {status, {}, {}, {}, {}}; }  // the connection adds its own

}  // namespace

Exchange::Exchange(std::shared_ptr<Core> core, std::weak_ptr<Connection> connection, std::shared_ptr<PeerUse> peer,
                   Lane lane)
    : core_(std::move(core)),
      connection_(std::move(connection)),
      peer_(std::move(peer)),
      strand_(std::make_shared<Strand>(core_->pool, lane)),
      pending_share_(share_of_replies(core_, peer_)) {}

void Exchange::post(std::function<void(Connection&)> work) {
  core_->post([connection = connection_, work = std::move(work)] {
    if (const auto there = connection.lock()) work(*there);
  });
}

bool Exchange::answer(Reply reply) {
  if (answered_.exchange(true)) return false;
  forget_callbacks();
  auto share = share_of_replies(core_, peer_);
  if (!share->grow_or_alone(reply.body.size()) && reply.body.size() > small_reply) {
    reply = without_text(503);
    share.reset();
  }
  post([self = shared_from_this(), reply = std::move(reply), share = std::move(share)](Connection& connection) mutable {
    self->stop_timer();
    connection.reply(*self, std::move(reply), std::move(share));
  });
  return true;
}

bool Exchange::begin_stream(Reply head) {
  if (answered_.exchange(true)) return false;
  post([self = shared_from_this(), head = std::move(head)](Connection& connection) {
    connection.begin_stream(*self, head);
  });
  return true;
}

bool Exchange::send(std::string piece) {
  if (gone_) return false;
  if (piece.empty()) return true;
  const std::size_t behind = pending_;
  note_piece(piece.size());
  const bool fits = pending_share_->grow_or_alone(piece.size());
  if (fits ? too_far_behind(behind) : behind > small_reply) {
    gone_ = true;
    sent(piece.size());
    post([self = shared_from_this()](Connection& connection) { connection.cut(*self); });
    return false;
  }
  post([self = shared_from_this(), piece = std::move(piece)](Connection& connection) mutable {
    connection.send_piece(*self, std::move(piece));
  });
  return true;
}

void Exchange::note_piece(std::size_t bytes) {
  largest_ = std::max<std::size_t>(largest_, bytes);
  const std::size_t pending = pending_ += bytes;
  Time::rep none = 0;
  if (pending > Stream::most_behind) {
    behind_since_.compare_exchange_strong(none, monotonic_now().time_since_epoch().count());
  }
}

bool Exchange::too_far_behind(std::size_t bytes) const {
  if (bytes > std::max(Stream::most_burst, largest_ + Stream::most_behind)) return true;
  const Time::rep since = behind_since_;
  if (bytes <= Stream::most_behind || since == 0) return false;
  return monotonic_now() - Time{Duration{since}} > core_->bounds.catch_up;
}

void Exchange::end_stream(bool whole) {
  forget_callbacks();
  post([self = shared_from_this(), whole](Connection& connection) {
    self->stop_timer();
    whole ? connection.end_stream(*self) : connection.cut(*self);
  });
}

void Exchange::run(std::function<void()> work) {
  strand_->run([self = shared_from_this(), work = std::move(work)] { self->run_contained(work); });
}

void Exchange::run_upload(std::function<void()> work) {
  core_->pool.run([self = shared_from_this(), work = std::move(work)] { self->run_contained(work); }, Lane::uploads);
}

void Exchange::run_contained(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception&) {
    failed();
  }
}

void Exchange::failed() {
  if (answer(without_text(500))) return;
  post([self = shared_from_this()](Connection& connection) { connection.cut_stream(*self); });
}

void Exchange::on_gone(std::function<void()> callback) {
  {
    const std::lock_guard lock(mutex_);
    if (!gone_) {
      gone_callbacks_.push_back(std::move(callback));
      return;
    }
  }
  run(std::move(callback));
}

void Exchange::after(Duration delay, std::function<void()> work) {
  // A timer may have expired already, with its work still to be run: it is then no longer the latest.
  const auto number = ++timers_;
  core_->post([self = shared_from_this(), delay, number, work = std::move(work)]() mutable {
    if (self->over_ || self->connection_.expired()) return;
    self->timer_.emplace(self->core_->io);
    self->timer_->expires_after(delay);
    self->timer_->async_wait([self, number, work = std::move(work)](const boost::system::error_code& error) {
      if (error || self->over_) return;
      self->run([self, number, work] {
        if (number == self->timers_) work();
      });
    });
  });
}

void Exchange::client_gone() {
  std::vector<std::function<void()>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    gone_ = true;
    callbacks.swap(gone_callbacks_);
  }
  for (auto& callback : callbacks) run(std::move(callback));
}

void Exchange::sent(std::size_t bytes) {
  const std::size_t pending = pending_ -= bytes;
  if (pending <= Stream::most_behind) behind_since_ = 0;
  if (pending == 0) largest_ = 0;
  pending_share_->shrink(bytes);
}

void Exchange::over() {
  client_gone();
  stop_timer();
}

void Exchange::stop_timer() {
  over_ = true;
  timer_.reset();
}

// The callbacks may own an object that owns this one.
void Exchange::forget_callbacks() {
  std::vector<std::function<void()>> callbacks;
  const std::lock_guard lock(mutex_);
  callbacks.swap(gone_callbacks_);
}

// ---- the handles of handlers

struct Responder::Handle {
  explicit Handle(std::shared_ptr<Exchange> e) : exchange(std::move(e)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle(Handle&&) = delete;
  Handle& operator=(Handle&&) = delete;
  ~Handle() { exchange->answer(without_text(500)); }
  std::shared_ptr<Exchange> exchange;
};

struct Stream::Handle {
  explicit Handle(std::shared_ptr<Exchange> e) : exchange(std::move(e)) {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  Handle(Handle&&) = delete;
  Handle& operator=(Handle&&) = delete;
  ~Handle() {
    if (!ended.exchange(true)) exchange->end_stream(false);
  }
  std::shared_ptr<Exchange> exchange;
  std::atomic<bool> ended{false};
};

Responder::Responder(std::shared_ptr<Exchange> exchange) : handle_(std::make_shared<Handle>(std::move(exchange))) {}

void Responder::answer(Reply reply) const { handle_->exchange->answer(std::move(reply)); }
Stream Responder::stream(Reply head) const {
  handle_->exchange->begin_stream(std::move(head));
  return Stream(std::make_shared<Stream::Handle>(handle_->exchange));
}
bool Responder::gone() const { return handle_->exchange->gone(); }
void Responder::on_gone(std::function<void()> callback) const { handle_->exchange->on_gone(std::move(callback)); }
void Responder::run(std::function<void()> work) const { handle_->exchange->run(std::move(work)); }
void Responder::run_upload(std::function<void()> work) const { handle_->exchange->run_upload(std::move(work)); }
void Responder::after(Duration delay, std::function<void()> work) const {
  handle_->exchange->after(delay, std::move(work));
}

bool Stream::send(std::string piece) const { return handle_->exchange->send(std::move(piece)); }
std::size_t Stream::unsent() const { return handle_->exchange->unsent(); }
void Stream::end() const {
  if (!handle_->ended.exchange(true)) handle_->exchange->end_stream(true);
}

}  // namespace edgefleet::http_server
