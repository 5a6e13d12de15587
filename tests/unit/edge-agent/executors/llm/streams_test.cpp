// Bodies of answers as back ends really send them: a row for each shape.
#include "edge-agent/executors/llm/answer_reader.hpp"
#include "edge-agent/executors/llm/json_value.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/llm_config.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;

namespace {

struct Read {
  Json choice;
  std::string streamed;
  std::string lines;  // of calls
  std::optional<TaskError> error;
};

// In chunks of `size` bytes, so that every cut between two bytes is met.
Read read(const std::string& provider, const std::string& body, std::size_t size,
          RequestKind kind = RequestKind::chat) {
  Read result;
  Answer answer(
      [&](std::string_view text, Channel channel) {
        if (channel == Channel::content) result.streamed += text;
        if (channel == Channel::tool_calls) result.lines += text;
      },
      {"call_t", {"call_0"}, {}});
  const auto made = make_provider(config_of(provider));
  const Framing framing = provider == "ollama" ? Framing::lines : Framing::events;
  AnswerReader reader(*made, kind, framing, answer);
  bool goes_on = true;
  for (std::size_t at = 0; goes_on && at < body.size(); at += size) {
    goes_on = static_cast<bool>(reader.feed(std::string_view(body).substr(at, size)));
  }
  if (goes_on) reader.finish();
  result.error = answer.error();
  result.choice = Json::parse(answer.output(kind))["choices"][0];
  return result;
}

std::string event(const std::string& data) { return "data: " + data + "\n\n"; }
std::string delta(const std::string& members) {
  return event(R"({"choices":[{"index":0,"delta":{)" + members + "}}]}");
}
std::string call(const std::string& members) { return delta(R"("tool_calls":[{)" + members + "}]"); }
const std::string stop = event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})");
const std::string end = stop + "data: [DONE]\n\n";

struct Row {
  const char* what;
  std::string body;
  const char* message;  // members of the message that must be there with this value
  std::string provider = "openai";
};

const std::vector<Row> shapes = {
    {"text", delta(R"("content":"Hel")") + delta(R"("content":"lo")") + end, R"({"content":"Hello"})"},
    {"a byte order mark", "\xef\xbb\xbf" + delta(R"("content":"Hi")") + end, R"({"content":"Hi"})"},
    {"empty lines before it", "\r\n\n" + delta(R"("content":"Hi")") + end, R"({"content":"Hi"})"},
    {"no empty line after an event",
     "data:{\"choices\":[{\"delta\":{\"content\":\"H\"}}]}\ndata:{\"choices\":[{\"delta\":{\"content\":\"i\"}}]}\n" +
         end,
     R"({"content":"Hi"})"},
    {"an event in several lines",
     "event: message\nid: 1\ndata: {\"choices\":\ndata:  [{\"delta\":{\"content\":\"Hi\"}}]}\n\n" + end,
     R"({"content":"Hi"})"},
    {"comments and pings", ": ping\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n" + delta(R"("content":"Hi")") + end,
     R"({"content":"Hi"})"},
    {"lines that end with \\r",
     "data: {\"choices\":[{\"delta\":{\"content\":\"H\"}}]}\r\r"
     "data: {\"choices\":\rdata: [{\"delta\":{\"content\":\"i\"}}]}\r\rdata: [DONE]\r\r",
     R"({"content":"Hi"})"},
    {"an event in several lines that end with \\r\\n",
     "data: {\"choices\":\r\ndata: [{\"delta\":{\"content\":\"Hi\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n",
     R"({"content":"Hi"})"},
    {"a mark of the end with white space", delta(R"("content":"Hi")") + "data:\t[DONE] \n\n", R"({"content":"Hi"})"},
    {"a mark of the end in lower case", delta(R"("content":"Hi")") + "data: [done]\n\n", R"({"content":"Hi"})"},
    {"words that keep the connection alive",
     "event: ping\ndata: ping\n\n" + delta(R"("content":"Hi")") + "data: keep-alive\n\n" + end, R"({"content":"Hi"})"},
    {"no JSON after the finish reason", delta(R"("content":"Hi")") + stop + "data: bye\n\n" + delta(R"("content":"!")"),
     R"({"content":"Hi"})"},
    {"the infinities of Python's json",
     event(R"({"choices":[{"delta":{"content":"\"NaN\""},"logprobs":{"content":[{"logprob":-Infinity},NaN]}}]})") + end,
     R"({"content":"\"NaN\""})"},
    {"the end without a finish reason", delta(R"("content":"Hi")") + "data: [DONE]\n\n", R"({"content":"Hi"})"},
    {"no mark of the end", delta(R"("content":"Hi")") + stop, R"({"content":"Hi"})"},
    {"a server that ignores `stream`",
     "{\n \"choices\": [{\"message\": {\"role\":\"assistant\",\"content\":\"Hi\"},\n \"finish_reason\":\"stop\"}]}\n",
     R"({"content":"Hi"})"},
    {"a whole message in an event", event(R"({"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]})"),
     R"({"content":"Hi"})"},
    {"two names for the reasoning",
     delta(R"("reasoning":"hm","reasoning_content":"hm")") + delta(R"("content":"x")") + end,
     R"({"content":"x","reasoning_content":"hm"})"},
    {"one of the two names", delta(R"("reasoning":"hm","reasoning_content":null)") + delta(R"("content":"x")") + end,
     R"({"content":"x","reasoning_content":"hm"})"},
    {"content as parts", delta(R"("content":[{"type":"text","text":"He"},{"type":"text","text":"y"}])") + end,
     R"({"content":"Hey"})"},
    {"thoughts as parts",
     delta(R"("content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]},{"type":"text","text":"x"}])") +
         end,
     R"({"content":"x","reasoning_content":"hm"})"},
    {"a refusal", delta(R"("refusal":"I can")") + delta(R"("refusal":"not")") + end,
     R"({"content":null,"refusal":"I cannot"})"},
    {"a surrogate pair in two pieces", delta(R"("content":"a\ud83d")") + delta(R"("content":"\ude00b")") + end,
     R"({"content":"a😀b"})"},
    {"the same with a piece between them",
     delta(R"("content":"a\ud83d")") + delta(R"("content":"")") + delta(R"("content":"\uDE00b")") + end,
     R"({"content":"a😀b"})"},
    {"half a surrogate pair", delta(R"("content":"a\ud83d\\b\ud83d\ude00\ude00")") + end, R"({"content":"a�\\b😀�"})"},
    {"members that are unknown here",
     delta(R"("content":"x","annotations":[{"b":1,"a":2}],"note":"a")") + delta(R"("annotations":[3],"note":"b")") +
         end,
     R"({"content":"x","annotations":[{"b":1,"a":2},3],"note":"ab"})"},
    {"a message in Ollama's lines",
     "{\"message\":{\"content\":\"Hi\",\"thinking\":\"hm\",\"images\":[\"QUJD\"]}}\n\n{\"done\":true}\n",
     R"({"content":"Hi","reasoning_content":"hm","images":["QUJD"]})", "ollama"},
    {"an Ollama that does not stream", "\xef\xbb\xbf{\"message\":{\"content\":\"Hi\"},\"done\":true}",
     R"({"content":"Hi"})", "ollama"},
    {"a Gemini that blocks the prompt", event(R"({"promptFeedback":{"blockReason":"SAFETY"}})"),
     R"({"content":null,"refusal":"Gemini does not answer this prompt: SAFETY"})", "gemini"},
    {"the message so far beside each delta",
     event(R"({"choices":[{"delta":{"content":"One "},"message":{"content":"One "}}]})") +
         event(R"({"choices":[{"delta":{"content":"two"},"message":{"content":"One two"}}]})") + end,
     R"({"content":"One two"})"},
    {"the whole message after its deltas",
     delta(R"("content":"Hel","reasoning":"hm","note":[1])") + delta(R"("content":"lo")") +
         event(R"({"choices":[{"delta":{},"message":{"content":"Hello","reasoning":"hm","note":[1]},)"
               R"("finish_reason":"stop"}]})"),
     R"({"content":"Hello","reasoning_content":"hm","note":[1]})"},
    {"a whole message that has more than its deltas",
     delta(R"("content":"Hel")") + event(R"({"choices":[{"message":{"content":"Hello"},"finish_reason":"stop"}]})"),
     R"({"content":"Hello"})"},
    {"a whole message that differs from what was told",
     delta(R"("content":" Hi ")") + event(R"({"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]})"),
     R"({"content":" Hi "})"},
    {"the text of a delta twice", event(R"({"choices":[{"delta":{"content":"Hi"},"text":"Hi"}]})") + end,
     R"({"content":"Hi"})"},
    {"messages instead of deltas",
     event(R"({"choices":[{"message":{"content":"Hel"}}]})") + event(R"({"choices":[{"message":{"content":"lo"}}]})") +
         end,
     R"({"content":"Hello"})"},
    {"the signature of a Gemini's text",
     event(
         R"({"candidates":[{"content":{"parts":[{"text":"x"},{"text":"","thoughtSignature":"c2ln"}]},"finishReason":"STOP"}]})"),
     R"({"content":"x","extra_content":{"google":{"thought_signature":"c2ln"}}})", "gemini"},
};

// The calls as a reader of the stream puts them together: each begins once, in order.
Json streamed_calls(const std::string& lines) {
  Json calls = Json::array();
  for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1) {
    const auto line = protocol::decode_call_line(lines.substr(at, lines.find('\n', at) - at));
    REQUIRE(line);
    if (!line->call.empty()) {
      CHECK(line->index == calls.size());
      calls.push_back(Json::parse(line->call));
    }
    REQUIRE(line->index < calls.size());
    Json& arguments = calls[line->index]["function"]["arguments"];
    arguments = arguments.get<std::string>() + line->arguments;
  }
  return calls;
}

struct Calls {
  const char* what;
  std::string body;
  const char* calls;  // [[id, name, arguments]]
  std::string provider = "openai";
};

const std::vector<Calls> tool_calls = {
    {"fragments",
     call(R"("index":0,"id":"a","type":"function","function":{"name":"f","arguments":""})") +
         call(R"("index":0,"function":{"arguments":"{\"x\""})") + call(R"("index":0,"function":{"arguments":":1}"})") +
         end,
     R"([["a","f","{\"x\":1}"]])"},
    {"two at once",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{"})") +
         call(R"("index":1,"id":"b","function":{"name":"g","arguments":"{"})") +
         call(R"("index":0,"function":{"arguments":"}"})") + call(R"("index":1,"function":{"arguments":"}"})") + end,
     R"([["a","f","{}"],["b","g","{}"]])"},
    {"all with index 0",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{}"})") +
         call(R"("index":0,"id":"b","function":{"name":"f","arguments":"{}"})") + end,
     R"([["a","f","{}"],["b","f","{}"]])"},
    {"all with index 0, in fragments",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":""})") +
         call(R"("index":0,"function":{"arguments":"{}"})") +
         call(R"("index":0,"id":"b","function":{"name":"f","arguments":""})") +
         call(R"("index":0,"function":{"arguments":"{}"})") + end,
     R"([["a","f","{}"],["b","f","{}"]])"},
    {"all with index 0 and no id",
     call(R"("index":0,"function":{"name":"f","arguments":"{\"n\":1}"})") +
         call(R"("index":0,"function":{"name":"f","arguments":"{\"n\":2}"})") + end,
     R"([["call_t_0","f","{\"n\":1}"],["call_t_1","f","{\"n\":2}"]])"},
    {"no index, in fragments",
     call(R"("id":"a","function":{"name":"f","arguments":"{"})") + call(R"("function":{"arguments":"}"})") +
         call(R"("id":"b","function":{"name":"g","arguments":"{"})") +
         call(R"("id":"b","function":{"arguments":"}"})") + end,
     R"([["a","f","{}"],["b","g","{}"]])"},
    {"a first index of 1",
     call(R"("index":1,"id":"a","function":{"name":"f","arguments":"{"})") +
         call(R"("index":1,"function":{"arguments":"}"})") + end,
     R"([["a","f","{}"]])"},
    {"the id and the name with every fragment",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"})") +
         call(R"("index":0,"id":"a","function":{"name":"f","arguments":"1}"})") +
         call(R"("index":0,"id":"a","function":{"name":"f","arguments":""})") + end,
     R"([["a","f","{\"x\":1}"]])"},
    {"all with index 0, fragments of two calls mixed",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":""})") +
         call(R"("index":0,"id":"b","function":{"name":"g","arguments":""})") +
         call(R"("index":0,"id":"a","function":{"arguments":"{\"x\":1}"})") +
         call(R"("index":0,"id":"b","function":{"arguments":"{\"y\":1}"})") + end,
     R"([["a","f","{\"x\":1}"],["b","g","{\"y\":1}"]])"},
    {"the name with every fragment, and the last one empty",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":""})") +
         call(R"("index":0,"function":{"name":"f","arguments":"{\"x\":1}"})") +
         call(R"("index":0,"function":{"name":"f","arguments":""})") + end,
     R"([["a","f","{\"x\":1}"]])"},
    {"the same without an id",
     call(R"("index":0,"function":{"name":"f","arguments":""})") +
         call(R"("index":0,"function":{"name":"f","arguments":"{\"x\":1}"})") +
         call(R"("index":0,"function":{"name":"f","arguments":""})") + end,
     R"([["call_t_0","f","{\"x\":1}"]])"},
    {"an empty fragment with an index of its own",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{}"})") +
         call(R"("index":1,"function":{"arguments":""})") + end,
     R"([["a","f","{}"]])"},
    {"the same call twice",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"})") +
         call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"})") + end,
     R"([["a","f","{\"x\":1}"]])"},
    {"the whole message after the deltas of its calls",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""})") +
         call(R"("index":1,"function":{"name":"g","arguments":"{}"})") +
         event(R"({"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},)"
               R"({"id":"b","function":{"name":"g","arguments":"{}"}},{"id":"c","function":{"name":"h"}}]},)"
               R"("finish_reason":"tool_calls"}]})"),
     R"([["a","f","{\"x\":1}"],["call_t_0","g","{}"],["c","h","{}"]])"},
    {"another id with every fragment",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":""})") +
         call(R"("index":0,"id":"b","function":{"arguments":"{}"})") + end,
     R"([["a","f","{}"]])"},
    {"arguments as an object",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":{"z":1,"a":1e400}})") + end,
     R"([["a","f","{\"z\":1,\"a\":1e400}"]])"},
    {"no arguments: absent", call(R"("index":0,"id":"a","function":{"name":"f"})") + end, R"([["a","f","{}"]])"},
    {"no arguments: null", call(R"("index":0,"id":"a","function":{"name":"f","arguments":null})") + end,
     R"([["a","f","{}"]])"},
    {"no arguments: empty", call(R"("index":0,"id":"a","function":{"name":"f","arguments":""})") + end,
     R"([["a","f","{}"]])"},
    {"an id of an earlier turn", call(R"("index":0,"id":"call_0","function":{"name":"f","arguments":"{}"})") + end,
     R"([["call_t_0","f","{}"]])"},
    {"the same id twice",
     call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{}"})") +
         call(R"("index":1,"id":"a","function":{"name":"g","arguments":"{}"})") + end,
     R"([["a","f","{}"],["call_t_0","g","{}"]])"},
    {"without `function`", call(R"("name":"f","arguments":"{}")") + end, R"([["call_t_0","f","{}"]])"},
    {"the older function_call",
     delta(R"("function_call":{"name":"f","arguments":"{"})") + delta(R"("function_call":{"arguments":"}"})") + end,
     R"([["call_t_0","f","{}"]])"},
    {"whole calls of one name",
     event(
         R"({"choices":[{"message":{"tool_calls":[{"function":{"name":"f"}},{"function":{"name":"f"}}]},"finish_reason":"tool_calls"}]})"),
     R"([["call_t_0","f","{}"],["call_t_1","f","{}"]])"},
    {"Ollama's",
     R"({"message":{"content":"","tool_calls":[{"function":{"index":0,"name":"f","arguments":{}}},{"function":{"name":"f"}}]}})"
     "\n{\"message\":{\"tool_calls\":[{\"id\":\"x\",\"function\":{\"name\":\"f\",\"arguments\":{\"z\":1,\"a\":2}}}]}}\n"
     "{\"done\":true}\n",
     R"([["call_t_0","f","{}"],["call_t_1","f","{}"],["x","f","{\"z\":1,\"a\":2}"]])", "ollama"},
    {"Gemini's",
     event(R"({"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"z":1,"a":2}}},)"
           R"({"functionCall":{"id":"x","name":"f"}}]},"finishReason":"STOP"}]})"),
     R"([["call_t_0","f","{\"z\":1,\"a\":2}"],["x","f","{}"]])", "gemini"},
};

struct Failing {
  const char* what;
  std::string body;
  const char* code;
  bool retryable;
  const char* message;
  std::string provider = "openai";
};

const std::string begun = delta(R"("content":"x")");

const std::vector<Failing> failures = {
    {"nothing", "", "backend_unavailable", true, "incomplete"},
    {"an end after nothing", "data: [DONE]\n\n", "backend_unavailable", true, "incomplete"},
    {"a page of HTML", "<html><body>Sign in</body></html>", "backend_unavailable", true, "it sent <html><body>Sign in"},
    {"an error in a shape of its own", event(R"({"code":1305,"msg":"no balance left"})") + "data: [DONE]\n\n",
     "backend_unavailable", true, "no balance left"},
    {"an error beside choices that are null",
     event(R"({"choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}})") +
         "data: [DONE]\n\n",
     "backend_unavailable", true, "insufficient balance"},
    {"a list of errors", event(R"({"errors":[{"message":"boom"}]})") + "data: [DONE]\n\n", "backend_error", true,
     "boom"},
    {"no end", begun, "backend_unavailable", true, "incomplete"},
    {"no JSON", begun + "data: {\"x\": y}\n\n" + end, "bad_answer", true, "invalid JSON"},
    {"an error event", begun + "event: error\ndata: {\"message\":\"out of memory\"}\n\n", "backend_error", true,
     "out of memory"},
    {"an error event in words", begun + "event: error\ndata: out of memory\n\n", "backend_error", true,
     "out of memory"},
    {"llama.cpp's older error",
     begun + "error: {\"code\":400,\"message\":\"bad\",\"type\":\"invalid_request_error\"}\n\n", "invalid_input", false,
     "bad"},
    {"an error in the place of the answer", R"({"detail":[{"loc":["body","n"],"msg":"must be 1"}]})", "invalid_input",
     false, "body.n: must be 1"},
    {"an older error in a stream", event(R"({"object":"error","message":"no such field","code":40001})"),
     "invalid_input", false, "no such field"},
    {"an aborted answer",
     begun + event(R"({"choices":[{"delta":{},"finish_reason":"error","error":{"message":"lost"}}]})"), "backend_error",
     true, "lost"},
    {"content of another type", delta(R"("content":5)") + end, "unsupported_answer", false, "content"},
    {"a part of an unknown type", delta(R"("content":[{"type":"hologram"}])") + end, "unsupported_answer", false,
     "hologram"},
    {"a delta that is text", event(R"({"choices":[{"delta":"x"}]})") + end, "unsupported_answer", false, "no object"},
    {"a call of an unknown type", call(R"("id":"a","type":"custom","custom":{"name":"f"})") + end, "unsupported_answer",
     false, "custom"},
    {"a call without a name", call(R"("id":"a","function":{"arguments":"{}"})") + end, "unsupported_answer", false,
     "name"},
    {"calls that are no list", delta(R"("tool_calls":{"a":1})") + end, "unsupported_answer", false, "tool_calls"},
    {"an Ollama that only loads", "{\"done\":true,\"done_reason\":\"load\"}\n", "unsupported_answer", false,
     "no answer", "ollama"},
    {"a message of Ollama that is text", "{\"message\":[\"x\"],\"done\":true}\n", "unsupported_answer", false,
     "no object", "ollama"},
    {"an error line of Ollama", "{\"message\":{\"content\":\"x\"}}\n{\"error\":\"it broke\"}\n", "backend_error", true,
     "it broke", "ollama"},
    {"a Gemini that makes a bad call",
     event(R"({"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL","finishMessage":"print(f"}]})"),
     "bad_answer", true, "MALFORMED_FUNCTION_CALL: print(f", "gemini"},
    {"a part of Gemini that is unknown",
     event(R"({"candidates":[{"content":{"parts":[{"hologram":{}}]},"finishReason":"STOP"}]})"), "unsupported_answer",
     false, "hologram", "gemini"},
};

}  // namespace

TEST_CASE("an answer is read in every shape in use, wherever its bytes are cut") {
  for (const Row& row : shapes) {
    INFO(row.what);
    for (const std::size_t size : {std::size_t{1}, std::size_t{7}, row.body.size()}) {
      const Read got = read(row.provider, row.body, size);
      INFO((got.error ? got.error->message : ""));
      CHECK_FALSE(got.error);
      const Json message = Json::parse(row.message);
      for (const auto& [name, value] : message.items()) CHECK(got.choice["message"][name] == value);
      CHECK(got.choice["message"].value("content", Json()) == (got.streamed.empty() ? Json() : Json(got.streamed)));
    }
  }
}

TEST_CASE("tool calls are told apart in every shape in use, and their ids are unique in a conversation") {
  for (const Calls& row : tool_calls) {
    INFO(row.what);
    for (const std::size_t size : {std::size_t{1}, row.body.size()}) {
      const Read got = read(row.provider, row.body, size);
      CHECK_FALSE(got.error);
      Json calls = Json::array();
      const Json& all = at(at(got.choice, "message"), "tool_calls");
      for (const Json& one : all) {
        CHECK(one["type"] == "function");
        calls.push_back({one["id"], one["function"]["name"], one["function"]["arguments"]});
      }
      CHECK(calls == Json::parse(row.calls));
      // Only what the end of the answer decides is missing in the stream: that a call has no arguments.
      Json streamed = streamed_calls(got.lines);
      for (Json& one : streamed) {
        if (one["function"]["arguments"] == "") one["function"]["arguments"] = "{}";
      }
      CHECK(streamed == all);
    }
  }
}

TEST_CASE("a call is streamed piece by piece, as soon as its name is known") {
  std::vector<std::string> told;
  Answer answer([&](std::string_view text, Channel channel) {
    if (channel == Channel::tool_calls) told.emplace_back(text);
  });
  const auto made = make_provider(config_of("openai"));
  AnswerReader reader(*made, RequestKind::chat, Framing::events, answer);
  const auto news = [&](const std::string& body) {
    told.clear();
    CHECK(reader.feed(body));
    return told;
  };
  using Lines = std::vector<std::string>;
  CHECK(news(call(R"("index":0,"id":"a")")).empty());
  CHECK(news(call(R"("index":0,"function":{"name":"f","arguments":""},"own":[1])")) ==
        Lines{R"({"index":0,"call":{"id":"a","type":"function","function":{"name":"f","arguments":""},"own":[1]}})"
              "\n"});
  CHECK(news(call(R"("index":0,"function":{"arguments":" \n"})")).empty());  // it may be all of them: none
  CHECK(news(call(R"("index":0,"function":{"arguments":"{\"x\":"})")) == Lines{R"({"index":0,"arguments":" \n{\"x\":"})"
                                                                               "\n"});
  CHECK(news(call(R"("index":0,"function":{"arguments":"1}"})")) == Lines{R"({"index":0,"arguments":"1}"})"
                                                                          "\n"});
  CHECK(news(call(R"("index":1,"function":{"name":"g","arguments":"{}"})")).size() == 2);
  CHECK(news(end).empty());
  const Json calls = Json::parse(answer.output(RequestKind::chat))["choices"][0]["message"]["tool_calls"];
  CHECK(calls[0]["function"]["arguments"] == " \n{\"x\":1}");
}

TEST_CASE("an id that comes after the name of its call is too late") {
  const Read got = read("openai",
                        call(R"("index":0,"function":{"name":"f","arguments":"{"})") +
                            call(R"("index":0,"id":"late","function":{"arguments":"}"})") + end,
                        1);
  CHECK(streamed_calls(got.lines)[0]["id"] == "call_t_0");
  CHECK(got.choice["message"]["tool_calls"] == streamed_calls(got.lines));
}

TEST_CASE("long arguments are streamed in lines that fit into a message, cut between two characters") {
  std::string arguments = R"({"x":")";
  while (arguments.size() < 100'000) arguments += "\xc3\xa9\xf0\x9f\x98\x80";
  arguments += "\"}";
  const Read got = read(
      "openai",
      event(Json{
          {"choices",
           {{{"delta", {{"tool_calls", {{{"id", "a"}, {"function", {{"name", "f"}, {"arguments", arguments}}}}}}}}}}}}
                .dump()) +
          end,
      1000);
  CHECK_FALSE(got.error);
  std::size_t longest = 0;
  for (std::size_t at = 0; at < got.lines.size(); at = got.lines.find('\n', at) + 1) {
    longest = std::max(longest, got.lines.find('\n', at) - at);
  }
  CHECK(longest < 16 * 1024);
  CHECK(streamed_calls(got.lines) == got.choice["message"]["tool_calls"]);
}

TEST_CASE("what cannot be read is an error with its reason, never an empty success") {
  for (const Failing& row : failures) {
    INFO(row.what);
    const Read got = read(row.provider, row.body, row.body.size() + 1);
    REQUIRE(got.error);
    CHECK(got.error->code == row.code);
    CHECK(got.error->retryable == row.retryable);
    CHECK(got.error->message.find(row.message) != std::string::npos);
  }
}

TEST_CASE("a finish reason with every piece does not end an answer") {
  const auto made = make_provider(config_of("openai"));
  const std::string piece = event(R"({"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]})");
  Answer answer;
  AnswerReader reader(*made, RequestKind::chat, Framing::events, answer);
  for (int i = 0; i < 3; ++i) {
    CHECK(reader.feed(piece));
    CHECK_FALSE(reader.surely_complete());
  }
  SECTION("a broken connection is an error") {
    reader.break_off("cut");
    CHECK(answer.error());
  }
  SECTION("the counts of the whole answer end it") {
    CHECK(reader.feed(event(R"({"choices":[],"usage":{"completion_tokens":3}})")));
    CHECK(reader.surely_complete());
    reader.break_off("cut");
    CHECK_FALSE(answer.error());
  }
  SECTION("its mark ends it") {
    CHECK(reader.feed("data: [DONE]\n\n"));
    CHECK(reader.surely_complete());
  }
  SECTION("the end of the body ends it") {
    reader.finish();
    CHECK_FALSE(answer.error());
  }
}

TEST_CASE("everything that is collected counts against the bound of an answer") {
  const std::string kilobyte(1024, 'x');
  const std::vector<std::string> floods = {
      delta(R"("content":")" + kilobyte + "\""),
      delta(R"("reasoning":")" + kilobyte + "\""),
      delta(R"("refusal":")" + kilobyte + "\""),
      delta(R"("note":")" + kilobyte + "\""),
      delta(R"("annotations":[")" + kilobyte + "\"]"),
      event(R"({"choices":[{"logprobs":{"content":[{"token":")" + kilobyte + "\"}]}}]}"),
      event(R"({"choices":[{"token_ids":[")" + kilobyte + "\"]}]}"),
      call(R"("index":0,"id":"a","function":{"arguments":")" + kilobyte + "\"}"),
      call(R"("index":0,"id":"a","extra":[")" + kilobyte + "\"]")};
  const auto made = make_provider(config_of("openai"));
  for (const auto& flood : floods) {
    INFO(flood.substr(0, 60));
    Answer answer;
    AnswerReader reader(*made, RequestKind::chat, Framing::events, answer);
    int pieces = 0;
    while (reader.feed(flood) && pieces < 300) ++pieces;
    REQUIRE(answer.error());
    CHECK(answer.error()->code == "output_too_large");
    CHECK(pieces < 256);
  }
}

TEST_CASE("the log probabilities of the pieces are one list, byte for byte") {
  const std::string piece =
      R"({"choices":[{"delta":{"content":"x"},"logprobs":{"content":[{"token":"x","logprob":-1.50}],)"
      R"("refusal":null}}]})";
  Answer answer;
  const auto made = make_provider(config_of("openai"));
  AnswerReader reader(*made, RequestKind::chat, Framing::events, answer);
  CHECK(reader.feed(event(piece) + event(piece) + end));
  CHECK(
      answer.output(RequestKind::chat)
          .find(
              R"("logprobs":{"content":[{"token":"x","logprob":-1.50},{"token":"x","logprob":-1.50}],"refusal":null})") !=
      std::string::npos);
}

TEST_CASE("the pieces of a completion are joined") {
  const std::string piece = event(R"({"choices":[{"text":"ab"}]})");
  const Read got = read("openai", piece + piece + end, 5, RequestKind::generate);
  CHECK_FALSE(got.error);
  CHECK(got.choice["text"] == "abab");
}

TEST_CASE("the reasoning of a completion is beside its text") {
  const Read got =
      read("ollama", "{\"thinking\":\"hm\"}\n{\"response\":\"x\",\"done\":true}\n", 5, RequestKind::generate);
  CHECK_FALSE(got.error);
  CHECK(got.choice["text"] == "x");
  CHECK(got.choice["reasoning"] == "hm");
}

TEST_CASE("a completion that calls a tool is an error: it has no place for the call") {
  const Read got = read("openai", call(R"("index":0,"id":"a","function":{"name":"f","arguments":"{}"})") + end, 5,
                        RequestKind::generate);
  REQUIRE(got.error);
  CHECK(got.error->code == "unsupported_answer");
  CHECK(got.error->message.find("tool call in a completion") != std::string::npos);
}

TEST_CASE("each input has its embedding, or the answer is an error") {
  const auto made = make_provider(config_of("openai"));
  for (const std::size_t inputs : {std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
    Answer answer;
    answer.expect_embeddings(inputs);
    AnswerReader reader(*made, RequestKind::embed, Framing::whole, answer);
    CHECK(reader.feed(R"({"data":[{"index":1,"embedding":[0.10]},{"index":0,"embedding":[2]}]})"));
    reader.finish();
    CHECK(answer.error().has_value() == (inputs != 2));
    CHECK(answer.output(RequestKind::embed).find(R"("index":1,"embedding":[0.10])") != std::string::npos);
  }
}

TEST_CASE("an embedding is a list of finite numbers, as long as the others of its answer") {
  struct Row {
    const char* provider;
    std::string begin, end;  // around the vectors
  };
  const std::vector<Row> rows = {{"openai", R"({"data":[{"embedding":)", R"(},{"embedding":[1,2]}]})"},
                                 {"ollama", R"({"embeddings":[)", ",[1,2]]}"},
                                 {"gemini", R"({"embeddings":[{"values":)", R"(},{"values":[1,2]}]})"}};
  const auto error_of = [](const Row& row, const std::string& vector) {
    Answer answer;
    const auto made = make_provider(config_of(row.provider));
    AnswerReader reader(*made, RequestKind::embed, Framing::whole, answer);
    if (reader.feed(row.begin + vector + row.end)) reader.finish();
    return answer.error() ? answer.error()->code : "";
  };
  for (const Row& row : rows) {
    CHECK(error_of(row, "[0.5,-3e38]").empty());
    for (const char* bad : {"[null,null]", R"(["0.5","1"])", "[{},1]", "[true,false]", "[[1,2],[3,4]]", "[1e400,1]",
                            "[1e39,1]", "[]", "[1]", "[1,2,3]", "null", "{}", R"("1,2")"}) {
      INFO(row.provider << " " << bad);
      CHECK(error_of(row, bad) == "unsupported_answer");
    }
  }
}
