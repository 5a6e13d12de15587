// The half of a connection that writes; the other half is connection.cpp.
#include <algorithm>
#include <boost/asio/post.hpp>

#include "common/http_server/body_reader.hpp"
#include "common/http_server/connection.hpp"
#include "common/http_server/file_reader.hpp"
#include "common/http_server/response.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::http_server {
namespace {

constexpr std::size_t joined_body = 16 * 1024;  // up to this size head and body are one write

Problem no_room_for_answer() {
  return {503, "the answers that clients have not read yet leave no room for this one; try again in a second", {}};
}

}  // namespace

// The unread rest of a body would be taken for the next request, so the connection is closed after the answer.
void Connection::refuse(const Problem& problem) {
  const bool read = parser_ && parser_->state() == Parser::State::done;
  if (!read) keep_alive_ = false;
  if (context_.id.empty()) take_request();
  if (exchange_) exchange_->over();
  exchange_.reset();
  Reply reply = site_->refuse(problem, context_);
  for (const auto& [name, value] : problem.headers) reply.headers.add(name, value);
  answer(std::move(reply));
}

void Connection::reply(Exchange& exchange, Reply reply, std::shared_ptr<ByteShare> share) {
  if (!is_present(exchange) || phase_ == Phase::closed) return;
  if (phase_ == Phase::body) keep_alive_ = false;  // answered before the end of the body
  const bool without_text = reply.body.empty() && reply.content_type.empty();
  if (without_text && reply.status == 500) {
    reply = site_->refuse({500, "the server failed at this request", {}}, context_);
  }
  if (without_text && reply.status == 503) reply = site_->refuse(no_room_for_answer(), context_);
  answer(std::move(reply), std::move(share));
}

void Connection::answer(Reply reply, std::shared_ptr<ByteShare> share) {
  leave_body_readers();
  body_.reset();
  phase_ = Phase::replying;
  deadline_ = monotonic_now() + core_->bounds.write;
  if (ended_ || core_->stopping) keep_alive_ = false;
  if (reply.file) return answer_file(reply);
  const bool with_body = !head_only() && !bodyless(reply.status);
  const auto length = bodyless(reply.status) ? std::nullopt : std::optional<std::uint64_t>(reply.body.size());
  std::string head = head_of(reply, length, false);
  // All of it is queued before any of it is written: the answer ends when the queue is empty.
  const bool idle = output_.empty();
  if (with_body && reply.body.size() <= joined_body) {
    output_.push_back({head + reply.body, 0, std::move(share)});
  } else {
    output_.push_back({std::move(head), 0, {}});
    if (with_body) output_.push_back({std::move(reply.body), 0, std::move(share)});
  }
  end_after_output_ = true;
  if (idle) flush();
}

std::string Connection::head_of(const Reply& reply, std::optional<std::uint64_t> length, bool chunked) const {
  return response_head(reply, extra_, {length, chunked, keep_alive_, parser_ && parser_->http_1_0()}, core_->date,
                       context_.id);
}

void Connection::answer_file(const Reply& reply) {
  const auto open = [self = shared_from_this(), reply] {
    auto file = FileReader::open(reply.file->path);
    boost::asio::post(self->core_->io, [self, reply, file = std::move(file)]() mutable {
      if (self->phase_ == Phase::replying) self->begin_file(reply, std::move(file));
    });
  };
  core_->pool.run(open, Lane::files);
}

void Connection::begin_file(const Reply& reply, std::shared_ptr<FileReader> file) {
  if (!file) return answer(site_->refuse({404, "the file no longer exists", {}}, context_));
  const FileReply prepared = prepare_file(reply, file->size(), context_);
  if (prepared.kind == RangeKind::unsatisfiable) {
    Reply refusal = site_->refuse({416, "the file has no such bytes", {}}, context_);
    refusal.headers.add("Content-Range", "bytes */" + std::to_string(file->size()));
    return answer(std::move(refusal));
  }
  end_after_output_ = true;
  if (prepared.head.status == 304) return put(head_of(prepared.head, std::nullopt, false));
  file->select(prepared.range);
  if (!head_only() && prepared.range.count > 0) {
    file_share_ = share_of_replies(core_, use_);
    if (!file_share_->grow_or_alone(std::min<std::size_t>(prepared.range.count, FileReader::piece_bytes))) {
      file_share_.reset();
      return answer(site_->refuse(no_room_for_answer(), context_));
    }
    file_ = std::move(file);
    end_after_output_ = false;
  }
  put(head_of(prepared.head, prepared.range.count, false));
}

void Connection::read_file() {
  const auto read = [self = shared_from_this(), file = file_] {
    auto piece = file->next();
    boost::asio::post(self->core_->io, [self, file, piece = std::move(piece)]() mutable {
      if (self->phase_ != Phase::replying || self->file_ != file) return;
      if (piece.empty()) return self->close();  // shorter than before: the client must not take it for the whole
      if (file->left() == 0) {
        self->file_.reset();
        self->end_after_output_ = true;
      }
      self->put(std::move(piece));
    });
  };
  core_->pool.run(read, Lane::files);
}

void Connection::begin_stream(Exchange& exchange, const Reply& head) {
  if (!is_present(exchange) || phase_ == Phase::closed) return;
  if (phase_ == Phase::body) keep_alive_ = false;
  leave_body_readers();
  body_.reset();
  if (ended_) return close();
  chunked_ = !parser_->http_1_0();
  if (!chunked_ || core_->stopping) keep_alive_ = false;
  phase_ = Phase::streaming;
  deadline_ = Time::max();
  put(head_of(head, std::nullopt, chunked_));
}

void Connection::send_piece(Exchange& exchange, std::string piece) {
  const std::size_t bytes = piece.size();
  if (!is_present(exchange) || phase_ != Phase::streaming || head_only()) return exchange.sent(bytes);
  put(chunked_ ? chunk_of(piece) : std::move(piece), bytes);
}

void Connection::end_stream(Exchange& exchange) {
  if (!is_present(exchange) || phase_ != Phase::streaming) return;
  phase_ = Phase::replying;
  end_after_output_ = true;
  deadline_ = monotonic_now() + core_->bounds.write;
  if (chunked_ && !head_only()) return put("0\r\n\r\n");
  flush();
}

void Connection::cut_stream(Exchange& exchange) {
  if (is_present(exchange) && phase_ == Phase::streaming) close();
}

void Connection::cut(Exchange& exchange) {
  if (is_present(exchange)) close();
}

void Connection::put(std::string bytes, std::size_t of_piece) {
  const bool idle = output_.empty();
  output_.push_back({std::move(bytes), of_piece, {}});
  if (!idle) return;
  if (phase_ == Phase::streaming) deadline_ = monotonic_now() + core_->bounds.write;
  flush();
}

void Connection::flush() {
  while (!output_.empty() && phase_ != Phase::closed) {
    Piece& piece = output_.front();
    const Io io = link_->write(std::string_view(piece.bytes).substr(written_));
    if (io.state == IoState::failed || io.state == IoState::closed) return close();
    if (io.state == IoState::want_read) return;  // on_readable() continues
    if (io.state == IoState::want_write) return wait_writable();
    written_ += io.bytes;
    deadline_ = monotonic_now() + core_->bounds.write;
    if (written_ < piece.bytes.size()) continue;
    if (piece.of_piece > 0 && exchange_) exchange_->sent(piece.of_piece);
    output_.pop_front();
    written_ = 0;
  }
  if (phase_ != Phase::closed) drained();
}

void Connection::drained() {
  if (phase_ == Phase::streaming || phase_ == Phase::handling || phase_ == Phase::body) deadline_ = Time::max();
  if (phase_ != Phase::replying) return;
  if (file_) return read_file();
  if (end_after_output_) request_over();
}

void Connection::request_over() {
  end_after_output_ = false;
  if (exchange_) exchange_->over();
  exchange_.reset();
  file_share_.reset();
  extra_ = {};
  caller_ = {};
  context_ = {};
  route_ = nullptr;
  if (!keep_alive_) return linger();
  parser_.reset();
  phase_ = Phase::head;
  deadline_ = monotonic_now() + (input_.empty() ? core_->bounds.idle : core_->bounds.head);
  if (input_.empty()) input_.shrink_to_fit();
  // Not called from here: a long sequence of small requests would recurse without bound.
  boost::asio::post(core_->io, [self = shared_from_this()] {
    if (self->phase_ != Phase::head) return;
    self->advance();
    self->wait_readable();
  });
}

// Closing with unread bytes resets the connection: the client could lose an answer that it has not read yet.
void Connection::linger() {
  input_ = {};
  phase_ = Phase::lingering;
  end_writing();
  if (phase_ == Phase::closed) return;
  deadline_ = monotonic_now() + core_->bounds.linger;
  wait_readable();
}

void Connection::end_writing() {
  ended_writing_ = link_->end_writing().state != IoState::want_write;
  if (!ended_writing_) return wait_writable();
  if (ended_) close();
}

}  // namespace edgefleet::http_server
