#include "common/http_server/body_reader.hpp"

#include <boost/asio/post.hpp>

#include "common/system/clock.hpp"

namespace edgefleet::http_server {
namespace {

Problem too_large(std::size_t limit) {
  return {413, "the body is larger than " + std::to_string(limit) + " bytes", {}};
}
Problem no_room() { return {503, "too many large requests at the same time; try again in a second", {}}; }
Problem not_gzip() { return {400, "the body is not valid gzip, or ends early", {}}; }

}  // namespace

BodyReader::BodyReader(std::shared_ptr<Core> core, std::shared_ptr<Exchange> exchange, const Route& route, Request head,
                       std::function<Reply(const Problem&)> refuse)
    : began(monotonic_now()),
      core_(std::move(core)),
      exchange_(std::move(exchange)),
      route_(route),
      refuse_(std::move(refuse)),
      request_(std::move(head)) {
  gzip_ = !request_.header("Content-Encoding").empty() &&
          !equal_without_case(request_.header("Content-Encoding"), "identity");
  if (gzip_) inflater_.emplace();
}

// An upload that was abandoned may have a file to remove, and the server's thread must not wait for that.
BodyReader::~BodyReader() {
  if (upload_) core_->pool.run([upload = std::move(*upload_)] {}, Lane::uploads);
}

void BodyReader::begin() {
  if (!std::holds_alternative<UploadHandler>(route_.handler)) return;
  exchange_->run(
      [self = shared_from_this()] { self->upload_ = std::get<UploadHandler>(self->route_.handler)(self->request_); });
}

std::optional<Problem> BodyReader::put(std::string_view piece) {
  received_ += piece.size();
  if (std::holds_alternative<UploadHandler>(route_.handler)) {
    gathered_.append(piece);
    return std::nullopt;
  }
  if (body_.size() + piece.size() > route_.body_limit) return too_large(route_.body_limit);
  if (!request_.share->grow(piece.size())) return no_room();
  body_.append(piece);
  return std::nullopt;
}

// One piece of work for all that was read at once, however small its chunks are.
void BodyReader::pass_on() {
  if (gathered_.empty()) return;
  unwritten_ += gathered_.size();
  exchange_->run([self = shared_from_this(), bytes = std::exchange(gathered_, {})] { self->write(bytes); });
}

void BodyReader::write(const std::string& piece) {
  if (!answered_) take(piece);
  // Decided by the one value that was replaced: the server's thread adds to it at the same time.
  const std::size_t before = unwritten_.fetch_sub(piece.size());
  if (before <= most_ahead || before - piece.size() > most_ahead) return;
  boost::asio::post(core_->io, [self = shared_from_this()] {
    if (self->caught_up) self->caught_up();
  });
}

// A refusal is answered at once: the client may have much left to send.
void BodyReader::take(std::string_view piece) {
  using Outcome = Inflater::Outcome;
  auto outcome = Outcome::more;
  if (inflater_) {
    outcome = inflater_->put(piece, upload_->piece);
  } else if (!upload_->piece(piece)) {
    outcome = Outcome::refused;
  }
  answered_ = outcome != Outcome::more;
  if (outcome == Outcome::corrupt) answer(not_gzip());
  if (outcome == Outcome::refused) upload_->end(Responder(exchange_));
}

void BodyReader::end() {
  pass_on();
  const bool upload = std::holds_alternative<UploadHandler>(route_.handler);
  exchange_->run([self = shared_from_this(), upload] { upload ? self->finish_upload() : self->handle_whole(); });
}

void BodyReader::finish_upload() {
  if (answered_) return;
  if (inflater_ && !inflater_->complete()) return answer(not_gzip());
  upload_->end(Responder(exchange_));
}

void BodyReader::handle_whole() {
  if (auto problem = inflate_whole()) return answer(*problem);
  request_.body = body_.whole();
  std::get<Handler>(route_.handler)(std::move(request_), Responder(exchange_));
}

std::optional<Problem> BodyReader::inflate_whole() {
  if (!inflater_ || received_ == 0) return std::nullopt;
  BodyBuffer whole;
  bool room = true;
  auto outcome = Inflater::Outcome::more;
  body_.pass_on([&](const std::string& block) {
    outcome = inflater_->put(block, [&](std::string_view piece) {
      room = request_.share->grow(piece.size());
      if (!room || whole.size() + piece.size() > route_.body_limit) return false;
      whole.append(piece);
      return true;
    });
    request_.share->shrink(block.size());
    return outcome == Inflater::Outcome::more;
  });
  if (!room) return no_room();
  if (outcome == Inflater::Outcome::refused) return too_large(route_.body_limit);
  if (outcome == Inflater::Outcome::corrupt || !inflater_->complete()) return not_gzip();
  body_ = std::move(whole);
  return std::nullopt;
}

void BodyReader::answer(const Problem& problem) { exchange_->answer(refuse_(problem)); }

}  // namespace edgefleet::http_server
