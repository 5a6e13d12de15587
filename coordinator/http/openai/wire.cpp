#include "coordinator/http/openai/wire.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "common/protocol/json.hpp"

namespace edgefleet::coordinator::openai {
namespace {

const Json nothing;

const Json& member(const Json& object, const char* key) {
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

std::string event(const Json& json) { return "data: " + dump(json) + "\n\n"; }

struct Meaning {
  std::string_view task_code;
  int status;
  const char* type;
  const char* code;
};
constexpr std::array<Meaning, 10> meanings = {{
    {"bad_input", 400, "invalid_request_error", "invalid_request"},
    {"invalid_input", 400, "invalid_request_error", "invalid_request"},
    {"context_too_long", 400, "invalid_request_error", "context_length_exceeded"},
    {"output_too_large", 400, "invalid_request_error", "output_too_large"},
    {"model_not_found", 404, "invalid_request_error", "model_not_found"},
    {"rate_limited", 429, "rate_limit_error", "rate_limit_exceeded"},
    {"timed_out", 504, "server_error", "timed_out"},
    {"backend_timed_out", 504, "server_error", "timed_out"},
    {"expired", 504, "server_error", "timed_out"},
    {"cancelled", 503, "server_error", "cancelled"},
}};

struct Kind {
  int status;
  const char* type;
  const char* code;
};
Kind kind_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return {400, "invalid_request_error", "invalid_request"};
    case ErrorKind::not_found:
      return {404, "invalid_request_error", "model_not_found"};
    case ErrorKind::conflict:
      return {409, "invalid_request_error", "conflict"};
    case ErrorKind::too_large:
      return {413, "invalid_request_error", "request_too_large"};
    case ErrorKind::busy:
      return {429, "rate_limit_error", "rate_limit_exceeded"};
    case ErrorKind::full:
      return {507, "server_error", "insufficient_storage"};
    case ErrorKind::unavailable:
      return {503, "server_error", "unavailable"};
    case ErrorKind::internal:
      break;
  }
  return {500, "server_error", "internal_error"};
}

constexpr std::array base64_letters = std::to_array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

// Little-endian float32 values, as OpenAI's clients ask for unless told otherwise.
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

const char* object_of(Endpoint endpoint, bool stream) {
  if (endpoint == Endpoint::embeddings) return "list";
  if (endpoint == Endpoint::completions) return "text_completion";
  return stream ? "chat.completion.chunk" : "chat.completion";
}

Json enveloped(const Envelope& envelope, bool stream) {
  return {{"id", envelope.id},
          {"object", object_of(envelope.endpoint, stream)},
          {"created", envelope.created},
          {"model", envelope.model}};
}

std::string choice_event(const Envelope& envelope, const Json& delta, const Json& finish_reason) {
  Json chunk = enveloped(envelope, true);
  Json choice = {{"index", 0}, {"finish_reason", finish_reason}};
  if (envelope.endpoint == Endpoint::chat) {
    choice["delta"] = delta;
  } else {
    choice["text"] = member(delta, "content").is_string() ? delta["content"] : Json("");
  }
  chunk["choices"] = Json::array({choice});
  return event(chunk);
}

}  // namespace

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// ---- in

Capability capability_of(Endpoint endpoint) {
  constexpr std::array names = {"llm.chat", "llm.generate", "llm.embed"};
  return *Capability::parse(names.at(static_cast<std::size_t>(endpoint)));
}

Result<Question> read_question(Endpoint endpoint, const std::string& body) {
  if (!json::well_formed(body) || !json::part_is_shallow(body))
    return invalid("the body is not valid JSON (UTF-8, at most 64 levels deep)");
  Question question{endpoint, {}, Json::parse(body, nullptr, false), false, false, false};
  if (!question.body.is_object()) return invalid("the body must be a JSON object");
  const Json& model = member(question.body, "model");
  if (!model.is_string() || model.get<std::string>().empty()) return invalid("`model` is missing");
  question.model = model.get<std::string>();
  const Json& stream = member(question.body, "stream");
  if (!stream.is_null() && !stream.is_boolean()) return invalid("`stream` is true or false");
  question.stream = stream == true && endpoint != Endpoint::embeddings;
  question.include_usage = member(member(question.body, "stream_options"), "include_usage") == true;
  const Json& format = member(question.body, "encoding_format");
  question.base64 = format == "base64";
  if (!format.is_null() && format != "float" && !question.base64) {
    return invalid("`encoding_format` is float or base64");
  }
  for (const char* of_the_door : {"stream", "stream_options", "encoding_format"}) question.body.erase(of_the_door);
  return question;
}

// ---- errors

std::string failure_view(const Failure& failure) {
  return dump(
      {{"error", {{"message", failure.message}, {"type", failure.type}, {"param", nullptr}, {"code", failure.code}}}});
}

Failure failure_of(const Error& error) {
  const Kind kind = kind_of(error.kind);
  return {kind.status, kind.type, kind.code, error.message};
}

Failure failure_of(const TaskRecord& record) {
  const TaskError error = record.error.value_or(TaskError{std::string(to_string(record.state)), "", false, {}});
  std::string message =
      error.message.empty() ? "the task ended " + std::string(to_string(record.state)) : error.message;
  message += " (task " + record.id.str() + ")";
  for (const Meaning& meaning : meanings) {
    if (meaning.task_code == error.code) return {meaning.status, meaning.type, meaning.code, message};
  }
  return {502, "server_error", error.code, message};
}

std::string failure_event(const Failure& failure) { return "data: " + failure_view(failure) + "\n\n"; }

// ---- out

Envelope envelope_of(const Question& question, const TaskId& task, WallTime now) {
  const std::string prefix = question.endpoint == Endpoint::chat ? "chatcmpl-" : "cmpl-";
  return {question.endpoint, prefix + task.str(), now.unix_ms / 1000, question.model};
}

Json output_of(const TaskRecord& record) { return Json::parse(record.output, nullptr, false); }

const Json& choice_of(const Json& output) {
  const Json& choices = member(output, "choices");
  return choices.is_array() && !choices.empty() ? choices.front() : nothing;
}

std::string text_of(const Json& choice, Endpoint endpoint, bool reasoning) {
  const Json& text = endpoint == Endpoint::completions
                         ? member(choice, reasoning ? "reasoning" : "text")
                         : member(member(choice, "message"), reasoning ? "reasoning_content" : "content");
  return text.is_string() ? text.get<std::string>() : std::string();
}

std::string answer_view(const Envelope& envelope, const TaskRecord& record, bool base64) {
  Json answer = enveloped(envelope, false);
  const Json output = output_of(record);
  if (envelope.endpoint == Endpoint::embeddings) {
    answer.erase("id");
    answer.erase("created");
    answer["data"] = Json::array();
    for (const Json& one : member(output, "data")) {
      const Json& numbers = member(one, "embedding");
      answer["data"].push_back({{"object", "embedding"},
                                {"index", member(one, "index")},
                                {"embedding", base64 ? Json(base64_floats(numbers)) : numbers}});
    }
    answer["usage"] = {{"prompt_tokens", 0}, {"total_tokens", 0}};  // clients rely on it; Gemini tells no counts
  } else {
    answer["choices"] = member(output, "choices");
  }
  if (const Json usage = Json::parse(record.usage, nullptr, false); usage.is_object()) answer["usage"] = usage;
  return dump(answer);
}

std::string role_event(const Envelope& envelope) {
  return choice_event(envelope, {{"role", "assistant"}, {"content", ""}}, nullptr);
}
std::string text_event(const Envelope& envelope, const std::string& text, bool reasoning) {
  return choice_event(envelope, {{reasoning ? "reasoning_content" : "content", text}}, nullptr);
}
std::string tool_calls_event(const Envelope& envelope, const Json& calls) {
  Json indexed = Json::array();
  for (Json call : calls) {
    call["index"] = indexed.size();
    indexed.push_back(std::move(call));
  }
  return choice_event(envelope, {{"tool_calls", indexed}}, nullptr);
}
std::string finish_event(const Envelope& envelope, const Json& choice) {
  return choice_event(envelope, Json::object(), member(choice, "finish_reason"));
}
std::string comment_event(const std::string& text) {
  std::string line = text;
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return ": " + line + "\n\n";
}

std::string usage_event(const Envelope& envelope, const TaskRecord& record) {
  Json chunk = enveloped(envelope, true);
  chunk["choices"] = Json::array();
  const Json usage = Json::parse(record.usage, nullptr, false);
  chunk["usage"] = usage.is_object() ? usage : Json(nullptr);
  return event(chunk);
}

static Json model_entry(const Offered& one, std::int64_t created) {
  return {{"id", one.model}, {"object", "model"}, {"created", created}, {"owned_by", one.owner}};
}
std::string model_view(const Offered& model, std::int64_t created) { return dump(model_entry(model, created)); }
std::string models_view(const std::vector<Offered>& models, std::int64_t created) {
  Json data = Json::array();
  for (const Offered& one : models) data.push_back(model_entry(one, created));
  return dump({{"object", "list"}, {"data", data}});
}

}  // namespace edgefleet::coordinator::openai
