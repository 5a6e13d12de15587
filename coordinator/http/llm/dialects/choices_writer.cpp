#include "coordinator/http/llm/dialects/choices_writer.hpp"

#include <algorithm>

#include "coordinator/http/llm/dialects/openai.hpp"

namespace edgefleet::coordinator::llm::openai {
namespace {

// A server-sent event.
std::string event(const std::string& data) { return "data: " + data + "\n\n"; }

Error no_choice(const TaskRecord& record) { return Error{"the result has no choice (task " + record.id.str() + ")"}; }

}  // namespace

std::optional<json::Object> choice_of(std::string_view output) {
  const auto object = json::Object::read(output);
  const auto choices = object ? json::elements(object->find("choices").value_or("null")) : std::nullopt;
  if (!choices || choices->empty()) return std::nullopt;
  return json::Object::read(choices->front());
}

ChoicesWriter::ChoicesWriter(const Form& form, const Reading& reading)
    : form_(form),
      model_(reading.question.model),
      include_usage_(reading.include_usage),
      choices_(reading.question.tasks.size()),
      beside_(reading.question.tasks.size()),
      usage_(reading.question.tasks.size()) {}

void ChoicesWriter::identify(const TaskId& task, WallTime now) {
  id_ = form_.id_prefix + task.str();
  created_ = now.unix_ms / 1000;
}

void ChoicesWriter::write_envelope(json::ObjectWriter& answer, const char* object) const {
  answer.string("id", id_);
  answer.string("object", object);
  answer.integer("created", created_);
  answer.string("model", model_);
}

// ---- whole

Status ChoicesWriter::add(std::size_t part, const TaskRecord& record) {
  const auto choice = choice_of(record.output);
  if (!choice) return no_choice(record);
  const JsonText text = shown(*choice);
  choices_.at(part) = json::with(json::Object::read(text).value_or(json::Object{}), "index", std::to_string(part));
  beside_.at(part) = beside("choices", record.output);
  usage_.set(part, record.usage);
  return success();
}

std::string ChoicesWriter::whole() {
  std::string text;
  {
    json::ObjectWriter answer(text);
    write_envelope(answer, form_.whole);
    {
      json::ArrayWriter choices(answer.key("choices"));
      for (const JsonText& choice : choices_) choices.next() += choice;
    }
    if (const auto usage = usage_.sum(); !usage.empty()) answer.raw("usage", usage);
    write_beside(beside_, answer);
  }
  return text;
}

// ---- a stream

std::string ChoicesWriter::begin() {
  std::string events;
  for (std::size_t part = 0; part < choices_.size(); ++part) events += begin_part(part);
  return events;
}

std::string ChoicesWriter::event_of(std::size_t part, const Piece& piece, const OwnMembers& more) const {
  std::string text;
  {
    json::ObjectWriter chunk(text);
    write_envelope(chunk, form_.piece);
    {
      json::ArrayWriter choices(chunk.key("choices"));
      json::ObjectWriter choice(choices.next());
      choice.unsigned_integer("index", part);
      choice.raw(form_.content, piece.content);
      choice.raw("finish_reason", piece.finish_reason);
      for (const auto& [name, value] : piece.more) choice.raw(name, value);
    }
    for (const auto& [name, value] : more) chunk.raw(name, value);
  }
  return event(text);
}

Result<std::string> ChoicesWriter::end_part(std::size_t part, const TaskRecord& record) {
  const auto choice = choice_of(record.output);
  if (!choice) return no_choice(record);
  usage_.set(part, record.usage);
  return event_of(part, end_of(*choice), beside("choices", record.output));
}

std::string ChoicesWriter::end() {
  std::string events;
  if (include_usage_) {
    std::string text;
    {
      json::ObjectWriter last(text);
      write_envelope(last, form_.piece);
      last.raw("choices", "[]");
      const auto usage = usage_.sum();
      last.raw("usage", usage.empty() ? "null" : usage);
    }
    events += event(text);
  }
  return events + event("[DONE]");
}

std::string ChoicesWriter::failure(const Failure& failure) { return event(openai_view(failure)); }

std::string ChoicesWriter::comment(const std::string& text) {
  std::string line = text;
  std::replace_if(line.begin(), line.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
  return ": " + line + "\n\n";
}

}  // namespace edgefleet::coordinator::llm::openai
