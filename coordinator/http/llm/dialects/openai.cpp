#include "coordinator/http/llm/dialects/openai.hpp"

#include <algorithm>

#include "common/protocol/fields.hpp"

namespace edgefleet::coordinator::llm::openai {
namespace {

// A server-sent event.
std::string event(const std::string& data) { return "data: " + data + "\n\n"; }

}  // namespace

Result<Question> read(const std::string& body, const char* capability, Options& options) {
  if (!json::well_formed(body) || !json::part_is_shallow(body)) {
    return invalid("the body is not valid JSON (UTF-8, at most 64 levels deep)");
  }
  json::Fields fields(body);
  if (!fields.ok()) return invalid("the body " + fields.error().message);
  Question question{*Capability::parse(capability), fields.string("model").value_or(""), {}, false};
  if (question.model.empty()) fields.fail("`model` is missing");
  question.stream = fields.boolean("stream").value_or(false);
  if (const auto given = fields.find("stream_options")) {
    const auto stream_options = json::Object::read(*given).value_or(json::Object{});
    options.include_usage = stream_options.find("include_usage") == "true";
  }
  const auto format = fields.string("encoding_format").value_or("float");
  options.base64 = format == "base64";
  if (format != "float" && !options.base64) fields.fail("`encoding_format` is neither float nor base64");
  if (!fields.ok()) return fields.error();
  question.input = json::without(fields.object(), {"stream", "stream_options", "encoding_format"});
  return question;
}

Json usage_of(const TaskRecord& record) {
  Json usage = Json::parse(record.usage, nullptr, false);
  return usage.is_object() ? usage : Json(nullptr);
}

const Json& choice_of(const Json& output) {
  static const Json nothing;
  const Json& choices = member(output, "choices");
  return choices.is_array() && !choices.empty() ? choices.front() : nothing;
}

void ChoicesWriter::identify(const TaskId& task, WallTime now) {
  id_ = form_.id_prefix + task.str();
  created_ = now.unix_ms / 1000;
}

Json ChoicesWriter::envelope(const char* object) const {
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", model_}};
}

std::string ChoicesWriter::whole(const TaskRecord& record) {
  Json answer = envelope(form_.whole);
  answer["choices"] = member(Json::parse(record.output, nullptr, false), "choices");
  if (auto usage = usage_of(record); usage.is_object()) answer["usage"] = std::move(usage);
  return dump(answer);
}

std::string ChoicesWriter::piece(const Json& content, const Json& finish_reason) const {
  Json chunk = envelope(form_.piece);
  chunk["choices"] = Json::array({{{"index", 0}, {form_.content, content}, {"finish_reason", finish_reason}}});
  return event(dump(chunk));
}

std::string ChoicesWriter::end(const TaskRecord& record, const Json& output) {
  std::string events = end_choice(choice_of(output));
  if (include_usage_) {
    Json last = envelope(form_.piece);
    last["choices"] = Json::array();
    last["usage"] = usage_of(record);
    events += event(dump(last));
  }
  return events + event("[DONE]");
}

std::string ChoicesWriter::failure(const Failure& failure) { return event(openai_view(failure)); }

std::string ChoicesWriter::comment(const std::string& text) {
  std::string line = text;
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return ": " + line + "\n\n";
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

}  // namespace edgefleet::coordinator::llm::openai
