#include <algorithm>
#include <array>
#include <cstring>

#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr std::array base64_letters = std::to_array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

// Little-endian float32 values: the format that OpenAI's clients request by default.
std::string base64_floats(const Json& numbers) {
  std::string bytes;
  for (const Json& number : numbers) {
    const float value = number.is_number() ? number.get<float>() : 0.0F;
    std::uint32_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    for (unsigned shift = 0; shift < 32; shift += 8) bytes += static_cast<char>((bits >> shift) & 0xFFU);
  }
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) {
      group = (group << 8U) | (k < have ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += k <= have ? base64_letters.at((group >> (18U - 6U * k)) & 63U) : '=';
    }
  }
  return text;
}

// Never a stream: read() ensures it.
class EmbeddingsWriter final : public AnswerWriter {
 public:
  EmbeddingsWriter(const Question& question, const openai::Options& options)
      : model_(question.model), base64_(options.base64) {}

  void identify(const TaskId&, WallTime) override {}

  std::string whole(const TaskRecord& record) override {
    Json answer = {{"object", "list"}, {"model", model_}, {"data", Json::array()}};
    const Json output = Json::parse(record.output, nullptr, false);
    for (const Json& one : member(output, "data")) {
      const Json& numbers = member(one, "embedding");
      answer["data"].push_back({{"object", "embedding"},
                                {"index", member(one, "index")},
                                {"embedding", base64_ ? Json(base64_floats(numbers)) : numbers}});
    }
    answer["usage"] = {{"prompt_tokens", 0}, {"total_tokens", 0}};  // clients rely on it; Gemini reports no counts
    if (auto usage = openai::usage_of(record); usage.is_object()) answer["usage"] = std::move(usage);
    return dump(answer);
  }

  std::string begin() override { return {}; }
  std::string text(const std::string&, bool) override { return {}; }
  std::string end(const TaskRecord&, const Json&) override { return {}; }
  std::string failure(const Failure& failure) override { return openai_view(failure); }
  std::string comment(const std::string&) override { return {}; }
  [[nodiscard]] std::string text_of(const Json&, bool) const override { return {}; }

 private:
  std::string model_;
  bool base64_;
};

Result<Asked> read(const std::string& body) {
  auto asked = openai::read<EmbeddingsWriter>(body, "llm.embed");
  if (asked) asked->question.stream = false;
  return asked;
}

}  // namespace

const Dialect embeddings{read, openai_reply, openai::event_stream};

}  // namespace edgefleet::coordinator::llm
