#include "cli/commands/session.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "cli/commands/command.hpp"
#include "common/http/problem.hpp"
#include "common/http/url.hpp"
#include "common/system/clock.hpp"

namespace edgefleet::cli {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

// https://no-color.org
bool use_colour(int descriptor) {
  return isatty(descriptor) == 1 && environment("NO_COLOR").empty() && environment("TERM") != "dumb";
}

int columns_of(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

int rows_of(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_row > 0) return size.ws_row;
  return 24;
}

// The statuses with which a coordinator refuses an input; another refusal, such as that of a proxy, is not about it.
bool about_input(int status) { return status == 400 || status == 413 || status == 422; }

void write(std::FILE* file, std::string_view text) { std::fwrite(text.data(), 1, text.size(), file); }

}  // namespace

Session::Session(const Target& target, bool json)
    : client_(target.url, {}, target.credentials),
      by_option_(target.by_option),
      json_(json),
      error_terminal_(isatty(STDERR_FILENO) == 1),
      error_colour_(use_colour(STDERR_FILENO)) {}

Look Session::look() const {
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  return {terminal ? columns_of(STDOUT_FILENO) : 0, use_colour(STDOUT_FILENO), wall_now()};
}

int Session::live_width() const { return std::max(columns_of(STDERR_FILENO) - 1, 20); }

int Session::live_height() const { return std::max(rows_of(STDERR_FILENO) - 1, 2); }

Error Session::error_of(const http::Response& answer) const {
  auto error = http::to_error(answer);
  if (error.kind == ErrorKind::invalid && !about_input(answer.status)) error.kind = ErrorKind::internal;
  if (answer.status == 401) error.message += "; log in with `edgefleet login " + client_.base_url() + "`";
  return error;
}

Result<std::string> Session::body_of(Result<http::Response> answer) const {
  if (!answer) return answer.error();
  if (!answer->ok()) return error_of(*answer);
  return std::move(answer->body);
}

Result<std::string> Session::get(const std::string& path, const http::Options& options) {
  return body_of(client_.get(path, options));
}

Result<std::string> Session::post(const std::string& path, std::string_view body) {
  return body_of(client_.post(path, body));
}

void Session::print(std::string_view text) const {
  write(stdout, text);
  if (!text.ends_with('\n')) write(stdout, "\n");
  std::fflush(stdout);
}

void Session::note(std::string_view text) {
  if (live_lines_ > 0) rewind_live();
  write(stderr, text);
  write(stderr, "\n");
}

// Moves to the beginning of the first live line and clears everything from there.
void Session::rewind_live() {
  if (live_lines_ > 1) write(stderr, "\x1b[" + std::to_string(live_lines_ - 1) + "A");
  write(stderr, "\r\x1b[J");
  live_lines_ = 0;
}

void Session::show_live(std::string_view text) {
  rewind_live();
  write(stderr, text);
  live_lines_ = 1 + static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

void Session::end_live() {
  if (live_lines_ > 0) write(stderr, "\n");
  live_lines_ = 0;
}

Exit Session::fail(const std::string& message, Exit code) {
  note(paint("edgefleet:", Style::bad, error_colour_) + " " + printable(message));
  return code;
}

Exit Session::fail(const Error& error) {
  const bool input = error.kind == ErrorKind::invalid || error.kind == ErrorKind::too_large;
  return fail(error.message, input ? Exit::usage : Exit::coordinator);
}

Exit Session::then(Exit done, std::string_view next) {
  if (done == Exit::ok && !json_) note(next);
  return done;
}

std::string Session::hint(const std::string& arguments) const {
  if (!by_option_) return "edgefleet " + arguments;
  return "edgefleet --url " + client_.base_url() + " " + arguments;
}

Result<Document> read_answer(const std::string& body) {
  if (auto document = parse_document(body)) return std::move(*document);
  return Error{"the answer is not from a coordinator; check the URL", ErrorKind::internal};
}

}  // namespace edgefleet::cli
