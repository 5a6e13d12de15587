#include "cli/commands/prompt.hpp"

#include <fcntl.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "common/core/error_text.hpp"
#include "common/core/trimmed.hpp"

namespace edgefleet::cli {
namespace {

constexpr std::size_t longest_line = 4096;
constexpr int poll_ms = 100;
constexpr std::string_view key_prefix = "ef_";

// While it is in scope, the terminal does not show what is typed.
class NoEcho {
 public:
  explicit NoEcho(bool hidden) {
    if (!hidden || tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;
  NoEcho(NoEcho&&) = delete;
  NoEcho& operator=(NoEcho&&) = delete;
  ~NoEcho() {
    if (!changed_) return;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
    std::fputs("\n", stderr);
  }

 private:
  termios before_{};
  bool changed_ = false;
};

// One line; no more than that is taken. No value: it is too long, there is none, or the program was interrupted.
std::optional<std::string> read_line(int fd, const Interrupt& interrupt) {
  std::string text;
  while (!interrupt.happened() && text.size() <= longest_line) {
    pollfd in{fd, POLLIN, 0};
    if (poll(&in, 1, poll_ms) <= 0) continue;
    char c = 0;
    const auto count = ::read(fd, &c, 1);
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return text.empty() ? std::nullopt : std::optional(text);
    if (c == '\n') return text;
    text += c;
  }
  return std::nullopt;
}

Result<std::string> key_in(const std::optional<std::string>& text, const std::string& from) {
  const std::string key(trimmed(text.value_or("")));
  if (key.empty()) return invalid("no key was read from " + from);
  const bool word = std::ranges::all_of(key, [](char c) { return c > ' ' && c < '\x7f'; });
  if (word && key.starts_with(key_prefix)) return key;
  return invalid("what was read from " + from +
                 " is not the key of an access: one begins with ef_, is one word, and is printed once by `edgefleet "
                 "access create`");
}

}  // namespace

bool can_ask() { return isatty(STDIN_FILENO) == 1; }

std::optional<std::string> ask(const std::string& question, bool hidden, const Interrupt& interrupt) {
  const NoEcho no_echo(hidden);  // first: what was typed before it is dropped, and would have been shown
  std::fputs(question.c_str(), stderr);
  std::fflush(stderr);
  return read_line(STDIN_FILENO, interrupt);
}

Result<std::string> read_key(const std::string& file, const Interrupt& interrupt) {
  if (file.empty() && can_ask()) return key_in(ask("Key (ef_...): ", true, interrupt), "the terminal");
  if (file.empty() || file == "-") return key_in(read_line(STDIN_FILENO, interrupt), "standard input");
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return invalid("cannot read " + file + ": " + error_text(errno));
  const auto text = read_line(fd, interrupt);
  ::close(fd);
  return key_in(text, file);
}

}  // namespace edgefleet::cli
