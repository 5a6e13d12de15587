#include "common/runtime/prompt.hpp"

#include <termios.h>
#include <unistd.h>

#include <iostream>

#include "common/runtime/secret.hpp"

namespace edgefleet {
namespace {

// Typed characters are not shown.
class NoEcho {
 public:
  NoEcho() {
    if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden) == 0;
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;
  NoEcho(NoEcho&&) = delete;
  NoEcho& operator=(NoEcho&&) = delete;
  ~NoEcho() {
    if (changed_) ::tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }

 private:
  termios before_{};
  bool changed_ = false;
};

Result<std::string> line_of_input() {
  std::string line;
  std::getline(std::cin, line);
  if (line.ends_with('\r')) line.pop_back();
  if (line.empty()) return Error{"standard input has no secret", ErrorKind::invalid};
  return line;
}

}  // namespace

Result<std::string> ask_secret(const std::string& file, const std::string& question, const std::string& otherwise) {
  if (file == "-") return line_of_input();
  if (!file.empty()) return read_secret(file);
  if (::isatty(STDIN_FILENO) != 1) return Error{"there is no terminal to ask on; " + otherwise, ErrorKind::invalid};
  const NoEcho hidden;  // before the question: what is typed at once is hidden too
  std::cerr << question << ": " << std::flush;
  auto line = line_of_input();
  std::cerr << "\n";
  return line;
}

}  // namespace edgefleet
