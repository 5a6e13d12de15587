// submit: submits one task.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <sstream>

#include "cli/commands/capabilities.hpp"
#include "cli/commands/command.hpp"
#include "cli/commands/poller.hpp"
#include "cli/core/arguments.hpp"
#include "cli/core/request.hpp"
#include "cli/core/task_view.hpp"

namespace edgefleet::cli {
namespace {

struct Submit {
  TaskRequest request;
  std::string input = "null";
  bool text = false;
  Wait wait;
};

struct Given {
  std::string text;
  std::string source;  // for messages
};

Result<Given> read_given(const std::string& argument) {
  if (argument == "-") {
    return Given{{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()}, "standard input"};
  }
  if (!argument.starts_with('@')) return Given{argument, "INPUT"};
  const auto path = argument.substr(1);
  auto file = open_file(path);
  if (!file) return file.error();
  std::ostringstream content;
  if (file->peek() != std::ifstream::traits_type::eof()) content << file->rdbuf();
  if (file->bad() || content.bad()) return invalid("cannot read " + path);
  return Given{std::move(content).str(), path};
}

Result<JsonText> input_of(const Submit& submit) {
  const auto given = read_given(submit.input);
  if (!given) return given.error();
  return submit.text ? text_input(given->text, given->source) : check_input(given->text, given->source);
}

// After a success: only the output, byte for byte as the agent sent it.
void print_output(Session& session, const std::string& body) {
  const auto output = text_of_member(body, "output");
  session.print(output.empty() ? "null" : output);
}

Exit wait_and_print(Session& session, const std::string& id, const Wait& wait) {
  const auto waited = wait_for_task(session, id, wait.limit);
  if (waited.body.empty()) return waited.exit;
  if (session.json()) session.print(waited.body);
  if (waited.exit != Exit::ok) return waited.exit;
  const auto task = read_answer(waited.body);
  if (!task) return session.fail(task.error());
  const auto exit = exit_of(*task);
  if (exit == Exit::ok) {
    session.note(task_outcome(*task));
    if (!session.json()) print_output(session, waited.body);
    return exit;
  }
  return session.fail("task " + id + " " + task_outcome(*task), exit);
}

Exit run(Submit& submit, Session& session) {
  auto input = input_of(submit);
  if (!input) return session.fail(input.error().message, Exit::usage);
  submit.request.input = std::move(*input);
  const auto body = session.post("/api/v1/tasks", to_body(submit.request));
  if (!body) return session.fail(body.error());
  const auto answer = read_answer(*body);
  if (!answer) return session.fail(answer.error());
  const auto id = printable(text_of(*answer, "id"));
  if (number_of(*answer, "eligible_agents") == 0.0) {
    note_if_nobody_offers(session, submit.request.capability.str());
  }
  if (submit.wait.wanted) {
    session.note(id + " " + show_acceptance(*answer));
    return wait_and_print(session, id, submit.wait);
  }
  session.print(session.json() ? *body : id);
  if (!session.json())
    session.note(show_acceptance(*answer) + ". To get the result: " + session.hint("task " + id + " --wait"));
  return Exit::ok;
}

void declare_options(CLI::App& app, Submit& submit) {
  auto& request = submit.request;
  app.add_option_function<std::vector<std::string>>(
         "--where", [&request](const auto& conditions) { request.where = checked("--where", parse_where(conditions)); },
         "only agents with this label; also agent=NAME and model=NAME; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
  app.add_option("--priority", request.priority, "-1000 to 1000 (default 0); one step is worth a minute of waiting")
      ->check(CLI::Range(-limits::priority, limits::priority))
      ->type_name("N");
  app.add_option("--name", request.name, "a name, for people")->type_name("TEXT");
  add_duration(app, "--timeout", request.timeout, "timeout of one attempt, such as 30s or 5m",
               std::chrono::milliseconds(1));
  add_duration(app, "--expires-after", request.expires_after, "expire if it has not started within this time");
  add_duration(app, "--delay", request.delay, "do not start before this time has passed");
  app.add_option("--max-attempts", request.max_attempts, "maximum number of attempts; with 1 the task never runs twice")
      ->check(CLI::Range(1, limits::max_attempts))
      ->type_name("N");
  app.add_option("--idempotency-key", request.idempotency_key,
                 "submitting the same task again with this key returns the same task")
      ->check([](const std::string& key) { return key.empty() ? "a key has at least one character" : ""; })
      ->type_name("KEY");
}

}  // namespace

Run declare_submit(CLI::App& app) {
  auto submit = std::make_shared<Submit>();
  app.add_option_function<std::string>(
         "CAPABILITY",
         [submit](const std::string& text) {
           submit->request.capability = checked("CAPABILITY", parse_capability(text));
         },
         "capability that the task needs, such as echo, llm.chat or image.blur")
      ->required()
      ->type_name("");
  app.add_option("INPUT", submit->input, "JSON; @FILE reads it from a file, - from standard input (default null)")
      ->type_name("");
  app.add_flag("--text", submit->text, "send INPUT as a string, not as JSON");
  add_wait(app, submit->wait, "wait for the result, at most TIME (default: no limit), and print its output");
  declare_options(app, *submit);
  return [submit](Session& session) { return run(*submit, session); };
}

}  // namespace edgefleet::cli
