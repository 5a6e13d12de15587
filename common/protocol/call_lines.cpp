#include "common/protocol/call_lines.hpp"

#include "common/protocol/fields.hpp"

namespace edgefleet::protocol {
namespace {

json::Object object_in(std::string_view text) { return json::Object::read(text).value_or(json::Object{}); }

json::Object function_in(const json::Object& call) { return object_in(call.find("function").value_or("null")); }

}  // namespace

std::string encode(const CallLine& line) {
  std::string out;
  {
    json::ObjectWriter object(out);
    object.unsigned_integer("index", line.index);
    if (!line.call.empty()) object.raw("call", line.call);
    if (!line.arguments.empty()) object.string("arguments", line.arguments);
  }
  return out += '\n';
}

std::optional<CallLine> decode_call_line(std::string_view line) {
  auto fields = json::Fields::untrusted(line);
  CallLine read;
  read.index =
      static_cast<std::size_t>(fields.integer("index", 0, static_cast<std::int64_t>(most_tool_calls) - 1).value_or(0));
  read.call = JsonText(fields.find("call").value_or(""));
  read.arguments = fields.string("arguments", limits::payload_bytes).value_or("");
  fields.require("index");
  if (!fields.ok()) return std::nullopt;
  return read;
}

std::optional<ToolCall> read_tool_call(std::string_view call) {
  const auto object = object_in(call);
  const auto function = function_in(object);
  auto name = json::as_string(function.find("name").value_or(""));
  if (!name) return std::nullopt;
  const auto arguments = function.find("arguments").value_or("null");
  ToolCall read;
  read.call = json::with(object, "function", json::with(function, "arguments", R"("")"));
  read.name = std::move(*name);
  if (arguments != "null") read.arguments = json::as_string(arguments).value_or(std::string(arguments));
  return read;
}

JsonText members_beyond(const JsonText& whole, const JsonText& known) {
  const auto write = [](const json::Object& all, const json::Object& without, json::ObjectWriter& into) {
    for (const auto& [name, value] : all.members()) {
      if (!without.find(name)) into.raw(name, value);
    }
  };
  const auto all = object_in(whole);
  const auto before = object_in(known);
  JsonText function;
  {
    json::ObjectWriter writer(function);
    write(function_in(all), function_in(before), writer);
  }
  JsonText text;
  {
    json::ObjectWriter writer(text);
    write(all, before, writer);
    if (function != "{}") writer.raw("function", function);
  }
  return text == "{}" ? JsonText() : text;
}

}  // namespace edgefleet::protocol
