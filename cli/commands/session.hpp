// Shared by all commands: the API, the form of the output, the exit codes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cli/core/document.hpp"
#include "cli/core/text.hpp"
#include "common/core/result.hpp"
#include "common/http/client.hpp"

namespace edgefleet::cli {

// The program's exit codes; docs/command-line.md explains them.
enum class Exit : int {
  ok = 0,
  task_failed = 1,  // failed, cancelled or expired
  usage = 2,
  coordinator = 3,  // cannot be reached, or answered with an error
  unfinished = 4,   // when the wait ended
  interrupted = 130,
  terminated = 143,
};

// Standard output has the requested data, standard error everything else: a script reads one, a person both.
class Session {
 public:
  // Where it calls, and with what.
  struct Target {
    std::string url;
    http::Credentials credentials{};
    bool by_option = false;  // the URL was given on the command line
  };
  Session(const Target& target, bool json);

  [[nodiscard]] bool json() const { return json_; }
  [[nodiscard]] Look look() const;           // of standard output, at this moment
  [[nodiscard]] bool live() const { return error_terminal_; }  // whether standard error can show live lines
  [[nodiscard]] int live_width() const;
  [[nodiscard]] int live_height() const;
  [[nodiscard]] http::Client& client() { return client_; }

  // The body of an answer of the API, or an error.
  Result<std::string> get(const std::string& path, const http::Options& options = {});
  Result<std::string> post(const std::string& path, std::string_view body = {});
  // Of an answer that is no success; without a good key it says how to get one.
  [[nodiscard]] Error error_of(const http::Response& answer) const;

  void print(std::string_view text) const;       // to standard output; a missing '\n' is added
  void note(std::string_view text);              // a line to standard error
  void show_live(std::string_view text);         // replaces the live lines, each within live_width(); only if live()
  void end_live();                                   // leaves them on the terminal
  Exit fail(const std::string& message, Exit code);  // "edgefleet: message" to standard error
  // An input that cannot be accepted is wrong usage, whether this program or the coordinator refuses it.
  Exit fail(const Error& error);

  // After a success: what to do next, unless the output is for a program.
  Exit then(Exit done, std::string_view next);

  // The command line for `arguments`, with the URL if it was given as an option.
  [[nodiscard]] std::string hint(const std::string& arguments) const;

 private:
  void rewind_live();
  [[nodiscard]] Result<std::string> body_of(Result<http::Response> answer) const;
  http::Client client_;
  bool by_option_;
  bool json_;
  bool error_terminal_;
  bool error_colour_;
  std::size_t live_lines_ = 0;
};

// The answer as a document, or an error if it is not a JSON object.
Result<Document> read_answer(const std::string& body);

// Prints an answer of the API: unchanged with --json, otherwise formatted by `show`.
template <typename Show>
Exit present(Session& session, const Result<std::string>& body, Show show) {
  if (!body) return session.fail(body.error());
  const auto document = read_answer(*body);
  if (!document) return session.fail(document.error());
  session.print(session.json() ? *body : show(*document, session.look()));
  return Exit::ok;
}

}  // namespace edgefleet::cli
