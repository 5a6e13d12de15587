#include <algorithm>
#include <array>
#include <cstring>

#include "common/protocol/floats.hpp"
#include "coordinator/http/llm/dialects/openai.hpp"
#include "coordinator/http/llm/dialects/usage.hpp"

namespace edgefleet::coordinator::llm {
namespace {

constexpr std::array fields = {
    RequestField{"model", FieldUse::mapped, "an alias: its models, one after another"},
    RequestField{"input", FieldUse::mapped, "a string, or a list of strings, split over tasks; no arrays of tokens"},
    RequestField{"encoding_format", FieldUse::endpoint, "float or base64"},
    RequestField{"stream", FieldUse::endpoint, "never streamed"},
    RequestField{"stream_options", FieldUse::endpoint, ""},
};

constexpr std::array base64_letters = std::to_array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

// Little-endian float32 values: the format that OpenAI's clients request by default.
std::string base64_floats(const std::vector<float>& numbers) {
  std::string bytes;
  for (const float value : numbers) {
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

struct Vector {
  std::uint64_t index = 0;  // within its task
  JsonText embedding;
};

// Never a stream: read() ensures it.
class EmbeddingsWriter final : public AnswerWriter {
 public:
  EmbeddingsWriter(const openai::Reading& reading, bool base64, std::vector<std::size_t> inputs)
      : model_(reading.question.model),
        base64_(base64),
        inputs_(std::move(inputs)),
        vectors_(inputs_.size()),
        beside_(inputs_.size()),
        usage_(inputs_.size()) {}

  void identify(const TaskId& task, WallTime) override { id_ = "embd-" + task.str(); }

  Status add(std::size_t part, const TaskRecord& record) override {
    const auto output = json::Object::read(record.output);
    const auto data = output ? json::elements(output->find("data").value_or("null")) : std::nullopt;
    std::vector<Vector> vectors;
    for (const std::string_view one : data.value_or(std::vector<std::string_view>{})) {
      if (auto vector = read_vector(one, vectors.size())) vectors.push_back(std::move(*vector));
    }
    std::sort(vectors.begin(), vectors.end(), [](const Vector& a, const Vector& b) { return a.index < b.index; });
    bool complete = vectors.size() == inputs_.at(part);
    for (std::size_t i = 0; i < vectors.size(); ++i) complete = complete && vectors[i].index == i;
    if (!complete) {
      return Error{"the result does not have one embedding of numbers for each of " + std::to_string(inputs_.at(part)) +
                   " inputs (task " + record.id.str() + ")"};
    }
    vectors_.at(part) = std::move(vectors);
    beside_.at(part) = openai::beside("data", record.output);
    usage_.set(part, record.usage);
    return success();
  }

  std::string whole() override {
    std::string text;
    {
      json::ObjectWriter answer(text);
      answer.string("id", id_);
      answer.string("object", "list");
      answer.string("model", model_);
      write_data(answer.key("data"));
      const auto usage = usage_.sum();
      // Clients rely on it; Gemini reports no counts.
      answer.raw("usage", usage.empty() ? R"({"prompt_tokens":0,"total_tokens":0})" : usage);
      openai::write_beside(beside_, answer);
    }
    return text;
  }

  std::string begin() override { return {}; }
  std::string text(std::size_t, const std::string&, Channel) override { return {}; }
  Result<std::string> end_part(std::size_t, const TaskRecord&) override { return std::string(); }
  std::string end() override { return {}; }
  std::string failure(const Failure& failure) override { return openai_view(failure); }
  std::string comment(const std::string&) override { return {}; }
  [[nodiscard]] std::string text_of(const JsonText&, Channel) const override { return {}; }

 private:
  [[nodiscard]] std::optional<Vector> read_vector(std::string_view text, std::size_t position) const {
    const auto object = json::Object::read(text);
    const auto embedding = object.value_or(json::Object{}).find("embedding").value_or("null");
    const auto numbers = json::as_floats(embedding);
    if (!numbers) return std::nullopt;
    const auto index = json::as_unsigned(object->find("index").value_or("")).value_or(position);
    return Vector{index, base64_ ? json::quoted(base64_floats(*numbers)) : JsonText(embedding)};
  }

  void write_data(std::string& out) const {
    json::ArrayWriter data(out);
    std::size_t index = 0;
    for (const auto& of_task : vectors_) {
      for (const Vector& one : of_task) {
        json::ObjectWriter vector(data.next());
        vector.string("object", "embedding");
        vector.unsigned_integer("index", index++);
        vector.raw("embedding", one.embedding);
      }
    }
  }

  const std::string model_;
  const bool base64_;
  const std::vector<std::size_t> inputs_;  // of each task
  std::string id_;
  std::vector<std::vector<Vector>> vectors_;
  std::vector<OwnMembers> beside_;  // the vectors, of each task
  UsageSum usage_;
};

// The number of inputs of each task.
std::vector<std::size_t> split(const std::vector<std::string_view>& inputs) {
  std::vector<std::size_t> counts;
  std::size_t bytes = 0;
  for (const std::string_view input : inputs) {
    bytes += input.size();
    if (counts.empty() || counts.back() == most_inputs_of_task || bytes > most_bytes_of_task) {
      counts.push_back(0);
      bytes = input.size();
    }
    ++counts.back();
  }
  return counts;
}

JsonText list_of(const std::vector<std::string_view>& inputs, std::size_t begin, std::size_t count) {
  JsonText text;
  {
    json::ArrayWriter list(text);
    for (std::size_t i = begin; i < begin + count; ++i) list.next() += inputs[i];
  }
  return text;
}

Result<std::vector<std::size_t>> read_input(openai::Reading& reading) {
  const auto input = reading.fields.find("input");
  if (!input || input->starts_with('"')) return std::vector<std::size_t>{1};
  const auto inputs = openai::texts("input", *input, most_inputs);
  if (!inputs) return inputs.error();
  auto counts = split(*inputs);
  if (counts.size() == 1) return counts;
  reading.question.tasks.clear();
  std::size_t begin = 0;
  for (const std::size_t count : counts) {
    reading.question.tasks.push_back({{"input", list_of(*inputs, begin, count)}});
    begin += count;
  }
  // It would be in each task's input until it is replaced.
  reading.question.input =
      json::with(json::Object::read(reading.question.input).value_or(json::Object{}), "input", "[]");
  return counts;
}

Result<Asked> read(const std::string& body) {
  auto reading = openai::read(body, "llm.embed", fields);
  if (!reading) return reading.error();
  reading->question.stream = false;
  const auto format = reading->fields.string("encoding_format").value_or("float");
  if (format != "float" && format != "base64") return invalid("`encoding_format` is neither float nor base64");
  if (auto good = reading->good(); !good) return good.error();
  auto counts = read_input(*reading);
  if (!counts) return counts.error();
  auto writer = std::make_unique<EmbeddingsWriter>(*reading, format == "base64", std::move(*counts));
  return Asked{std::move(reading->question), std::move(writer)};
}

}  // namespace

const Dialect embeddings{"/embeddings", fields, read, openai_reply, openai::event_stream, [](std::size_t of_a_task) {
                           return std::max(of_a_task, most_list_bytes);
                         }};

}  // namespace edgefleet::coordinator::llm
