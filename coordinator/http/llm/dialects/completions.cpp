#include <algorithm>
#include <array>

#include "coordinator/http/llm/dialects/choices_writer.hpp"
#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr std::array fields = {
    RequestField{"model", FieldUse::mapped, "an alias: its models, one after another"},
    RequestField{"prompt", FieldUse::mapped, "a string, or a list of strings: a choice for each; no arrays of tokens"},
    RequestField{"seed", FieldUse::mapped, "one more for each further choice"},
    RequestField{"best_of", FieldUse::mapped, "without effect if it equals `n`"},
    RequestField{"n", FieldUse::endpoint, "1 to 8: as many tasks, answered as one"},
    RequestField{"stream", FieldUse::endpoint, ""},
    RequestField{"stream_options", FieldUse::endpoint, "`include_usage`"},
};

class CompletionWriter final : public openai::ChoicesWriter {
 public:
  explicit CompletionWriter(const openai::Reading& reading)
      : ChoicesWriter({"cmpl-", "text_completion", "text_completion", "text"}, reading) {}

  std::string text(std::size_t part, const std::string& text, Channel channel) override {
    return channel == Channel::reasoning ? std::string() : event_of(part, {json::quoted(text)});
  }
  [[nodiscard]] std::string text_of(const JsonText& output, Channel channel) const override {
    const auto choice = openai::choice_of(output);
    const auto text = choice ? choice->find(channel == Channel::reasoning ? "reasoning" : "text") : std::nullopt;
    return json::as_string(text.value_or("")).value_or("");
  }

 private:
  [[nodiscard]] std::string begin_part(std::size_t) const override { return {}; }
  [[nodiscard]] Piece end_of(const json::Object& choice) const override {
    return {R"("")", JsonText(choice.find("finish_reason").value_or("null")),
            openai::others(choice, {"index", "text", "reasoning", "finish_reason"})};
  }
};

// A task for each prompt.
Status read_prompt(openai::Reading& reading) {
  const auto prompt = reading.fields.find("prompt");
  if (!prompt || prompt->starts_with('"')) return success();
  const auto prompts = openai::texts("prompt", *prompt, most_choices);
  if (!prompts) return prompts.error();
  reading.question.tasks.clear();
  for (const std::string_view one : *prompts) reading.question.tasks.push_back({{"prompt", JsonText(one)}});
  // It would be in each task's input until it is replaced.
  reading.question.input =
      json::with(json::Object::read(reading.question.input).value_or(json::Object{}), "prompt", "null");
  return success();
}

void read_best_of(openai::Reading& reading) {
  const auto best_of = reading.fields.find("best_of");
  if (!best_of || *best_of != reading.fields.find("n").value_or("1")) return;
  const auto input = json::Object::read(reading.question.input).value_or(json::Object{});
  reading.question.input = json::without(input, {"best_of"});
}

Result<Asked> read(const std::string& body) {
  auto reading = openai::read(body, "llm.generate", fields);
  if (!reading) return reading.error();
  if (auto good = read_prompt(*reading); !good) return good.error();
  if (auto good = openai::multiply(*reading); !good) return good.error();
  read_best_of(*reading);
  auto writer = std::make_unique<CompletionWriter>(*reading);
  return Asked{std::move(reading->question), std::move(writer)};
}

}  // namespace

const Dialect completions{"/completions", fields, read, openai_reply, openai::event_stream, [](std::size_t of_a_task) {
                            return std::max(of_a_task, most_list_bytes);
                          }};

}  // namespace edgefleet::coordinator::llm
