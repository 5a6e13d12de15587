#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm {
namespace {

class CompletionWriter final : public openai::ChoicesWriter {
 public:
  CompletionWriter(const Question& question, const openai::Options& options)
      : ChoicesWriter({"cmpl-", "text_completion", "text_completion", "text"}, question, options) {}

  std::string begin() override { return {}; }
  std::string text(const std::string& text, bool reasoning) override { return piece(reasoning ? std::string() : text); }
  [[nodiscard]] std::string text_of(const Json& output, bool reasoning) const override {
    return text_member(openai::choice_of(output), reasoning ? "reasoning" : "text");
  }

 private:
  [[nodiscard]] std::string end_choice(const Json& choice) const override {
    return piece("", member(choice, "finish_reason"));
  }
};

}  // namespace

const Dialect completions{[](const std::string& body) { return openai::read<CompletionWriter>(body, "llm.generate"); },
                          openai_reply, openai::event_stream};

}  // namespace edgefleet::coordinator::llm
