// The body of a back end's answer: the first byte selects provider and kind, the second one where the body is cut. Each
// line is also a piece for the readers of lists and downloads, and the last one a refusal.
#include <array>
#include <set>

#include "common/protocol/json.hpp"
#include "edge-agent/executors/llm/answer_reader.hpp"
#include "edge-agent/executors/llm/json_value.hpp"
#include "edge-agent/executors/llm/model_name.hpp"
#include "edge-agent/executors/llm/pull.hpp"
#include "edge-agent/executors/llm/refusal.hpp"
#include "tests/fuzz/fuzz.hpp"

using namespace edgefleet;
using namespace edgefleet::agent;
using namespace edgefleet::fuzz;

namespace {

// What a client has put together from the stream is the beginning of each call in the output.
void check_streamed(const llm::Json& calls, std::string_view lines) {
  std::vector<std::string> streamed;
  while (!lines.empty()) {
    const auto line = protocol::decode_call_line(take_line(lines));
    require(line.has_value(), "a line of a call can be read");
    const bool begins = line->index == streamed.size();
    require(begins != line->call.empty() || line->index < streamed.size(), "a call begins once, in order");
    if (begins) streamed.emplace_back();
    streamed.at(line->index) += line->arguments;
    const auto call = begins ? protocol::read_tool_call(line->call) : std::nullopt;
    require(!begins || (call && calls.at(line->index)["function"]["name"] == call->name), "a call keeps its name");
  }
  for (std::size_t i = 0; i < streamed.size(); ++i) {
    require(calls.at(i)["function"]["arguments"].get<std::string>().starts_with(streamed[i]), "a call is continued");
  }
}

void check_calls(const llm::Json& choice) {
  std::set<std::string> ids = {"call_0"};
  for (const auto& call : llm::at(llm::at(choice, "message"), "tool_calls")) {
    require(ids.insert(call["id"].get<std::string>()).second, "the ids of calls are unique");
    require(!call["function"]["arguments"].get<std::string>().empty(), "a call has arguments");
  }
}

void read_answer(const llm::Provider& provider, bool lines, llm::RequestKind kind, std::string_view body,
                 std::size_t cut) {
  std::string streamed;
  std::string streamed_calls;
  llm::Answer answer(
      [&](std::string_view text, Channel channel) {
        if (channel == Channel::content) streamed += text;
        if (channel == Channel::tool_calls) streamed_calls += text;
      },
      {"call_t", {"call_0"}, {"ff", "fg"}});
  const auto framing = kind == llm::RequestKind::embed ? llm::Framing::whole
                       : lines                         ? llm::Framing::lines
                                                       : llm::Framing::events;
  llm::AnswerReader reader(provider, kind, framing, answer);
  bool goes_on = static_cast<bool>(reader.feed(body.substr(0, cut)));
  if (goes_on) goes_on = static_cast<bool>(reader.feed(body.substr(cut)));
  if (goes_on) reader.finish();
  require(answer.complete() || answer.error(), "an answer is complete or has an error");
  if (answer.error()) {
    require(!answer.error()->code.empty() && !answer.error()->message.empty(), "an error is reported");
    require(answer.error()->message.size() <= limits::error_bytes + 100, "an error is bounded");
  }
  const auto output = answer.output(kind);
  require(json::well_formed(output), "an output is JSON");
  const auto tree = llm::Json::parse(output, nullptr, false);
  if (kind == llm::RequestKind::embed || tree.is_discarded()) return;  // a number that is out of range is passed on
  const auto& choice = tree["choices"][0];
  if (!answer.error()) check_calls(choice);
  if (kind == llm::RequestKind::chat) check_streamed(llm::at(llm::at(choice, "message"), "tool_calls"), streamed_calls);
  const auto& text = kind == llm::RequestKind::chat ? choice["message"]["content"] : choice["text"];
  require(text.is_null() ? streamed.empty() : text == streamed, "the streamed text is the output");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::array makers = {llm::make_ollama, llm::make_openai, llm::make_groq, llm::make_gemini};
  if (size < 2) return 0;
  const auto provider = makers.at(data[0] % makers.size())(llm::Config{});
  const auto kind = static_cast<llm::RequestKind>(data[0] / makers.size() % 3);
  std::string_view rest = text_of(data + 2, size - 2);
  read_answer(*provider, data[0] % makers.size() == 0, kind, rest, std::min<std::size_t>(data[1], rest.size()));
  llm::Listing listing;
  llm::PullProgress pull(data[0]);
  std::string_view line;
  while (!rest.empty()) {
    line = take_line(rest);
    if (!json::well_formed(line)) continue;
    const auto piece = llm::Json::parse(line, nullptr, false);
    provider->read_listing(0, piece, listing);
    pull.take(piece);
    require(pull.percent() <= 100 && pull.completed() <= pull.total() && pull.to_come() <= pull.total(), "sums hold");
  }
  const auto refusal = llm::refusal_of(400 + data[0], line, {});
  require(!refusal.code.empty() && refusal.message.size() <= limits::error_bytes, "a refusal is bounded");
  if (const auto manifest = llm::read_manifest(line)) require(llm::bytes_of(*manifest) >> 60U == 0, "no size wraps");
  if (const auto name = llm::ModelName::parse(line)) {
    const auto again = llm::ModelName::parse(name->listed());
    require(again && again->listed() == name->listed(), "a listed name is a valid name");
  }
  return 0;
}
