// chat: a conversation with a model of the fleet.
#include <unistd.h>

#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "cli/commands/command.hpp"
#include "cli/commands/interrupt.hpp"
#include "cli/core/chat.hpp"

namespace edgefleet::cli {
namespace {

struct Chat {
  ChatOptions options;
  std::vector<std::string> words;
};

std::string message_of(const http::Response& answer) {
  const auto message = error_text(answer.body);
  return message.empty() ? "the coordinator answered with HTTP status " + std::to_string(answer.status) : message;
}

// The reasoning of the model is shown dim on a terminal, and nowhere else: a script needs only the answer.
void show(const Look& look, bool terminal, const std::string& text, bool reasoning) {
  if (reasoning && !terminal) return;
  const auto shown = paint(printable_text(text), reasoning ? Style::dim : Style::plain, look.colour);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  std::fflush(stdout);
}

class Talk {
 public:
  Talk(Session& session, const ChatOptions& options)
      : session_(session), conversation_(options), terminal_(isatty(STDOUT_FILENO) != 0) {}

  // One question and its answer.
  Exit turn(const std::string& question) {
    conversation_.ask(question);
    const Interrupt interrupt;
    http::Options options;
    options.timeout = Duration{0};
    options.stop = interrupt.token();
    const auto exit = session_.json() ? whole(options) : streamed(options);
    if (exit != Exit::ok) conversation_.unanswered();
    if (interrupt.happened()) std::fputc('\n', stdout);
    return interrupt.happened() ? interrupt.exit() : exit;
  }

 private:
  static constexpr const char* path = "/v1/chat/completions";

  Exit whole(const http::Options& options) {
    const auto answer = session_.client().post(path, conversation_.request(false), options);
    if (!answer) return session_.fail(answer.error());
    if (!answer->ok()) return session_.fail(message_of(*answer), Exit::coordinator);
    session_.print(answer->body);
    return Exit::ok;
  }

  Exit streamed(const http::Options& options) {
    bool thinking = false;
    AnswerReader reader([&](const std::string& text, bool reasoning) {
      if (thinking && !reasoning && terminal_) std::fputs("\n\n", stdout);
      thinking = reasoning;
      show(session_.look(), terminal_, text, reasoning);
    });
    const std::string body = conversation_.request(true);
    const auto answer =
        session_.client().send({http::Method::post, path, {}, body}, options, [&](std::string_view bytes) {
          reader.feed(bytes);
          return success();
        });
    if (!answer) return options.stop.stop_requested() ? Exit::interrupted : session_.fail(answer.error());
    if (!answer->ok()) return session_.fail(message_of(*answer), Exit::coordinator);
    if (!reader.text().empty() && reader.text().back() != '\n') std::fputc('\n', stdout);
    if (!reader.error().empty()) return session_.fail(reader.error(), Exit::task_failed);
    if (!reader.done()) return session_.fail("the connection ended before the answer was complete", Exit::coordinator);
    if (reader.finish_reason() == "length") session_.note("(cut off: the limit of tokens was reached)");
    if (const auto usage = show_usage(reader.usage()); terminal_ && !usage.empty()) {
      session_.print(paint(usage, Style::dim, session_.look().colour));
    }
    conversation_.answered(reader.text());
    return Exit::ok;
  }

  Session& session_;
  Conversation conversation_;
  bool terminal_;
};

// One question per line until the end of the input; a question that failed can be asked again.
Exit converse(Talk& talk) {
  for (std::string line;;) {
    std::fputs("> ", stdout);
    std::fflush(stdout);
    if (!std::getline(std::cin, line)) break;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const auto exit = talk.turn(line);
    if (exit == Exit::terminated) return exit;
  }
  std::fputc('\n', stdout);
  return Exit::ok;
}

Exit chat(const Chat& chat, Session& session) {
  Talk talk(session, chat.options);
  if (chat.words.empty() && isatty(STDIN_FILENO) != 0) return converse(talk);
  std::string question;
  for (const auto& word : chat.words) question += (question.empty() ? "" : " ") + word;
  if (chat.words.empty()) question.assign(std::istreambuf_iterator<char>(std::cin), {});
  if (question.empty()) return session.fail("no question: pass it as TEXT or on standard input", Exit::usage);
  return talk.turn(question);
}

}  // namespace

Run declare_chat(CLI::App& app) {
  auto wanted = std::make_shared<Chat>();
  app.add_option("MODEL", wanted->options.model, "a model of the fleet, PROVIDER/MODEL, or an alias of the coordinator")
      ->required()
      ->type_name("");
  app.add_option("TEXT", wanted->words, "the question (default: all of standard input; on a terminal, a conversation)")
      ->type_name("");
  app.add_option("--system", wanted->options.system, "system message, sent before the question")->type_name("TEXT");
  app.add_option("--temperature", wanted->options.temperature, "0 gives the most likely answer")
      ->check(CLI::Range(0.0, 2.0));
  app.add_option("--max-tokens", wanted->options.max_tokens, "maximum number of tokens of an answer")
      ->check(CLI::Range(1, 1'000'000));
  return [wanted](Session& session) { return chat(*wanted, session); };
}

}  // namespace edgefleet::cli
