#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>

#include "coordinator/http/llm/dialects/openai.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::coordinator;
using namespace edgefleet::coordinator::llm;

namespace {

const TaskId task{Ulid{1, 1}};

Asked asked(const Dialect& dialect, const std::string& body) {
  auto read = dialect.read(body);
  REQUIRE(read);
  read->writer->identify(task, WallTime{1'700'000'000'000});
  return std::move(*read);
}

Json json_of(const std::string& event) {
  REQUIRE(event.starts_with("data: "));
  REQUIRE(event.ends_with("\n\n"));
  return Json::parse(event.substr(6));
}

TaskRecord record_of(const std::string& output, const char* usage = "") {
  TaskRecord record;
  record.id = task;
  record.output = output;
  record.usage = usage;
  return record;
}

std::string error_of(const Dialect& dialect, const std::string& body) {
  const auto read = dialect.read(body);
  return read ? "" : read.error().message;
}

// The events of a stream, without the end mark.
std::vector<Json> events_of(const std::string& text) {
  std::vector<Json> events;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = text.find("\n\n", at);
    REQUIRE(end != std::string::npos);
    const auto event = text.substr(at, end + 2 - at);
    if (event != "data: [DONE]\n\n") events.push_back(json_of(event));
    at = end + 2;
  }
  return events;
}

std::string end_of(const Asked& asked, const TaskRecord& record) {
  const auto pieces = asked.writer->end_part(0, record);
  REQUIRE(pieces);
  return *pieces + asked.writer->end();
}

Json whole_of(const Asked& asked, const std::vector<TaskRecord>& records) {
  for (std::size_t part = 0; part < records.size(); ++part) REQUIRE(asked.writer->add(part, records[part]));
  return Json::parse(asked.writer->whole());
}

constexpr std::array dialects = {&chat_completions, &completions, &embeddings};

}  // namespace

TEST_CASE("a single model has the same view as in the list, at any time") {
  const Json list = Json::parse(openai::models_view({{"openai/gpt-oss-20b", "groq"}, {"tiny", "ollama"}}));
  CHECK(list["object"] == "list");
  CHECK(Json::parse(openai::model_view({"tiny", "ollama"})) == list["data"][1]);
  CHECK(list["data"][0] ==
        Json{{"id", "openai/gpt-oss-20b"}, {"object", "model"}, {"created", 1'767'225'600}, {"owned_by", "groq"}});
}

TEST_CASE("the fields that each dialect uses itself are in the docs") {
  std::ifstream file(EDGEFLEET_SOURCE_DIR "/docs/llm.md");
  const std::string docs{std::istreambuf_iterator<char>(file), {}};
  std::size_t rows = 0;
  for (const Dialect* dialect : dialects) {
    const auto begin = docs.find("#### /v1" + dialect->path + "\n");
    REQUIRE(begin != std::string::npos);
    const auto section = docs.substr(begin, docs.find("\n#", begin + 1) - begin);
    for (const RequestField& one : dialect->fields) {
      const std::string note = one.note.empty() ? "|" : " " + std::string(one.note) + " |";
      const auto row = "| `" + std::string(one.field) + "` | " + std::string(to_string(one.use)) + " |" + note + "\n";
      INFO(row);
      CHECK(section.find(row) != std::string::npos);
      ++rows;
    }
    CHECK(static_cast<std::size_t>(std::count(section.begin(), section.end(), '\n')) > dialect->fields.size());
  }
  CHECK(rows == 20);
}

TEST_CASE("the input of a question is the request without the members for the endpoint, byte for byte") {
  const std::string rest = R"("seed":12345678901234567890123,"tools":[{"z":1,"a":1e400}],"parallel_tool_calls": false)";
  const auto read = chat_completions.read(
      R"({"model":"m","messages":[],"n":1,"stream":true,"stream_options":{"include_usage":true},)" + rest + "}");
  REQUIRE(read);
  CHECK(read->question.stream);
  CHECK(read->question.capability.str() == "llm.chat");
  CHECK(read->question.tasks == std::vector<OwnMembers>{{}});
  CHECK(read->question.input == R"({"model":"m","messages":[],"seed":12345678901234567890123,)"
                                R"("tools":[{"z":1,"a":1e400}],"parallel_tool_calls":false})");
}

TEST_CASE("every dialect refuses an invalid request") {
  for (const Dialect* dialect : dialects) {
    for (const char* bad : {"", "5", "{}", R"({"model":5})", R"({"model":""})", R"({"model":"m","stream":"yes"})"}) {
      INFO(bad);
      CHECK_FALSE(dialect->read(bad));
    }
  }
  CHECK_FALSE(embeddings.read(R"({"model":"m","input":"x","encoding_format":"hex"})"));
  for (const char* n : {"0", "9", "-1", "1.5", "true", "99999999999999999999"}) {
    INFO(n);
    CHECK(error_of(chat_completions, R"({"model":"m","messages":[],"n":)" + std::string(n) + "}").find("`n`") !=
          std::string::npos);
  }
}

TEST_CASE("arrays of tokens are refused by name, and a list has only texts") {
  for (const char* tokens : {"[1,2]", "[[1,2],[3]]", R"(["a",5])"}) {
    INFO(tokens);
    const std::string value(tokens);
    CHECK(error_of(completions, R"({"model":"m","prompt":)" + value + "}").find("`prompt`: arrays of tokens") == 0);
    CHECK(error_of(embeddings, R"({"model":"m","input":)" + value + "}").find("`input`: arrays of tokens") == 0);
  }
  for (const char* bad : {"[]", "{}", "5", "[null]", R"([{"text":"a"}])"}) {
    INFO(bad);
    CHECK(error_of(embeddings, R"({"model":"m","input":)" + std::string(bad) + "}").find("`input`") == 0);
  }
}

TEST_CASE("n choices are n tasks, of which each further one has the next seed") {
  const auto three = asked(chat_completions, R"({"model":"m","messages":[],"n":3,"seed":7})");
  CHECK(three.question.input == R"({"model":"m","messages":[],"seed":7})");
  CHECK(three.question.tasks == std::vector<OwnMembers>{{}, {{"seed", "8"}}, {{"seed", "9"}}});
  for (const char* seed : {"null", R"("x")", "1.5", "9223372036854775807"}) {
    INFO(seed);
    const auto two = asked(chat_completions, R"({"model":"m","messages":[],"n":2,"seed":)" + std::string(seed) + "}");
    CHECK(two.question.tasks == std::vector<OwnMembers>(2));
  }
}

TEST_CASE("a list of prompts has a choice for each, and n for each of them") {
  const auto one = asked(completions, R"({"model":"m","prompt":["one"]})");
  CHECK(one.question.tasks == std::vector<OwnMembers>{{{"prompt", R"("one")"}}});
  const auto four = asked(completions, R"({"model":"m","prompt":["a","b"],"n":2,"best_of":2})");
  REQUIRE(four.question.tasks.size() == 4);
  CHECK(four.question.tasks[1].front().second == R"("a")");
  CHECK(four.question.tasks[2].front().second == R"("b")");
  CHECK(four.question.input.find("best_of") == std::string::npos);
  CHECK(asked(completions, R"({"model":"m","prompt":"a","best_of":3})").question.input.find("best_of") !=
        std::string::npos);
  CHECK(error_of(completions, R"({"model":"m","prompt":["a","b","c"],"n":3})").find("9 choices") != std::string::npos);
}

TEST_CASE("the choices of several tasks are one answer, whole and streamed, each with its index") {
  const auto two =
      asked(chat_completions, R"({"model":"m","messages":[],"n":2,"stream_options":{"include_usage":true}})");
  const auto record = [](const char* text) {
    return record_of(R"({"choices":[{"index":0,"message":{"role":"assistant","content":")" + std::string(text) +
                         R"("},"finish_reason":"stop"}]})",
                     R"({"prompt_tokens":3,"completion_tokens":1,"total_tokens":4,"tokens_per_second":9})");
  };
  REQUIRE(two.writer->add(1, record("old")));  // of a model that was left
  const Json whole = whole_of(two, {record("a"), record("b")});
  REQUIRE(whole["choices"].size() == 2);
  for (const std::size_t index : {0U, 1U}) {
    CHECK(whole["choices"][index]["index"] == index);
    CHECK(whole["choices"][index]["message"]["content"] == (index == 0 ? "a" : "b"));
  }
  CHECK(whole["usage"] == Json{{"prompt_tokens", 6}, {"completion_tokens", 2}, {"total_tokens", 8}});

  const auto begin = events_of(two.writer->begin());
  REQUIRE(begin.size() == 2);
  CHECK(begin[1]["choices"][0]["index"] == 1);
  CHECK(json_of(two.writer->text(1, "b", Channel::content))["choices"][0]["index"] == 1);
  CHECK(json_of(*two.writer->end_part(1, record("b")))["choices"][0]["index"] == 1);
  REQUIRE(two.writer->end_part(0, record("a")));
  CHECK(events_of(two.writer->end())[0]["usage"]["total_tokens"] == 8);
}

TEST_CASE("what a choice has besides its text is passed on as it came, also in a stream") {
  const auto chat = asked(chat_completions, R"({"model":"m","messages":[]})");
  const auto record =
      record_of(R"({"choices":[{"message":{"role":"assistant","content":"x","refusal":"no","z":1,"a":2},)"
                R"("logprobs":{"content":[{"logprob":-1e400}]},"finish_reason":"stop"}]})");
  CHECK(whole_of(chat, {record_of(R"({"choices":[{"message":{"content":"x"},"own":true}]})")})["choices"][0]["own"] ==
        true);
  const auto end = chat.writer->end_part(0, record);
  REQUIRE(end);
  CHECK(end->find(R"("delta":{"refusal":"no","z":1,"a":2})") != std::string::npos);
  CHECK(end->find(R"("logprobs":{"content":[{"logprob":-1e400}]})") != std::string::npos);
}

TEST_CASE("what a result has beside its choices is passed on as it came, also in a stream") {
  const std::string passed = R"("citations":["a",1e400],"system_fingerprint":"fp")";
  const auto record = [&](const std::string& choice) {
    return record_of(R"({"model":"own","choices":[{)" + choice + R"(}],)" + passed + R"(,"id":"own","usage":{}})");
  };
  const auto chat = asked(chat_completions, R"({"model":"m","messages":[]})");
  const auto text = asked(completions, R"({"model":"m","prompt":"p"})");
  for (const auto& [question, answer] :
       {std::pair{&chat, record(R"("message":{"content":"x"})")}, std::pair{&text, record(R"("text":"x")")}}) {
    REQUIRE(question->writer->add(0, answer));
    CHECK(question->writer->whole().ends_with(passed + "}"));
    CHECK(question->writer->end_part(0, answer)->ends_with("}]," + passed + "}\n\n"));
  }
  const auto vector = asked(embeddings, R"({"model":"m","input":"x"})");
  REQUIRE(vector.writer->add(0, record_of(R"({"data":[{"embedding":[1]}],)" + passed + "}")));
  CHECK(vector.writer->whole().ends_with(passed + "}"));

  const auto two = asked(chat_completions, R"({"model":"m","messages":[],"n":2})");
  const char* choice = R"({"choices":[{"message":{"content":"x"}}],"a":1,)";
  const Json whole =
      whole_of(two, {record_of(choice + std::string(R"("b":2})")), record_of(choice + std::string(R"("a":3,"c":4})"))});
  CHECK(whole["a"] == 1);
  CHECK(whole["b"] == 2);
  CHECK(whole["c"] == 4);
}

TEST_CASE("functions of older clients are tools of the task") {
  const auto old =
      asked(chat_completions,
            R"({"model":"m","functions":[{"name":"heat","parameters":{"z":1,"a":2}}],"function_call":{"name":"heat"},)"
            R"("messages":[{"role":"user","content":"?"},)"
            R"({"role":"assistant","content":null,"function_call":{"name":"heat","arguments":"{}"}},)"
            R"({"role":"function","name":"heat","content":"21"}]})");
  const Json input = Json::parse(old.question.input);
  CHECK_FALSE(input.contains("functions"));
  CHECK_FALSE(input.contains("function_call"));
  CHECK(old.question.input.find(R"("parameters":{"z":1,"a":2})") != std::string::npos);
  CHECK(input["tools"][0] ==
        Json::parse(R"({"type":"function","function":{"name":"heat","parameters":{"z":1,"a":2}}})"));
  CHECK(input["tool_choice"] == Json::parse(R"({"type":"function","function":{"name":"heat"}})"));
  const Json& calling = input["messages"][1];
  CHECK_FALSE(calling.contains("function_call"));
  CHECK(calling["tool_calls"][0]["function"]["name"] == "heat");
  CHECK(input["messages"][2]["role"] == "tool");
  CHECK(input["messages"][2]["tool_call_id"] == calling["tool_calls"][0]["id"]);
  CHECK(Json::parse(asked(chat_completions, R"({"model":"m","messages":[],"functions":[],"function_call":"none"})")
                        .question.input)["tool_choice"] == "none");
}

TEST_CASE("an answer to functions has a function call, whole and streamed") {
  const auto old = asked(chat_completions, R"({"model":"m","messages":[],"functions":[{"name":"heat"}]})");
  const auto record = record_of(
      R"({"choices":[{"message":{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function",)"
      R"("function":{"name":"heat","arguments":"{}"}}]},"finish_reason":"tool_calls"}]})");
  const Json choice = whole_of(old, {record})["choices"][0];
  CHECK(choice["message"]["function_call"] == Json{{"name", "heat"}, {"arguments", "{}"}});
  CHECK_FALSE(choice["message"].contains("tool_calls"));
  CHECK(choice["finish_reason"] == "function_call");
  const auto call = old.writer->calls_of(record.output);
  REQUIRE(call);
  const auto events =
      events_of(old.writer->call(0, {0, call->at(0).call, "{}"}) + old.writer->call(0, {1, call->at(0).call, "{}"}) +
                old.writer->call(0, {0, R"({"late":true})", {}}) + end_of(old, record));
  REQUIRE(events.size() == 3);  // there is one function call
  CHECK(events[0]["choices"][0]["delta"]["function_call"] == Json{{"name", "heat"}, {"arguments", ""}});
  CHECK(events[1]["choices"][0]["delta"]["function_call"] == Json{{"arguments", "{}"}});
  CHECK(events[2]["choices"][0]["finish_reason"] == "function_call");
}

TEST_CASE("an invalid form of functions is refused by name") {
  for (const char* bad : {R"("functions":5)", R"("functions":[],"tools":[{}])", R"("function_call":5)",
                          R"("functions":[],"function_call":[])"}) {
    INFO(bad);
    CHECK(error_of(chat_completions, R"({"model":"m","messages":[],)" + std::string(bad) + "}").find("`function") !=
          std::string::npos);
  }
  for (const char* message :
       {R"({"role":"function","name":"x","content":"1"})", R"({"role":"function"})",
        R"({"role":"assistant","function_call":5})", R"({"role":"assistant","function_call":{"arguments":"{}"}})"}) {
    INFO(message);
    CHECK(error_of(chat_completions, R"({"model":"m","messages":[)" + std::string(message) + "]}").find("function") !=
          std::string::npos);
  }
  for (const char* absent : {R"("functions":null,"function_call":null,"tools":[])", R"("messages":[5,null])"}) {
    INFO(absent);
    CHECK(error_of(chat_completions, R"({"model":"m",)" + std::string(absent) + "}").empty());
  }
}

TEST_CASE("an answer has the same id, time and model in each of its pieces") {
  const auto chat = asked(chat_completions, R"({"model":"m","messages":[],"stream_options":{"include_usage":true}})");
  const auto record =
      record_of(R"({"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]})", R"({"total_tokens":3})");
  const Json first = json_of(chat.writer->begin());
  CHECK(first["choices"][0]["delta"]["role"] == "assistant");
  const Json text = json_of(chat.writer->text(0, "Hi", Channel::content));
  CHECK(text["choices"][0]["delta"]["content"] == "Hi");
  CHECK(json_of(chat.writer->text(0, "hm", Channel::reasoning))["choices"][0]["delta"]["reasoning_content"] == "hm");
  const std::string end = end_of(chat, record);
  CHECK(end.ends_with("data: [DONE]\n\n"));
  CHECK(end.find(R"("finish_reason":"stop")") != std::string::npos);
  CHECK(end.find(R"("usage":{"total_tokens":3})") != std::string::npos);
  for (const char* field : {"id", "created", "model"}) CHECK(first[field] == text[field]);
  CHECK(first["id"] == "chatcmpl-" + task.str());
  CHECK(first["created"] == 1'700'000'000);
}

TEST_CASE("a tool call is streamed as OpenAI does it: first without arguments, then pieces of them") {
  const auto chat = asked(chat_completions, R"({"model":"m","messages":[]})");
  const JsonText call =
      R"({"id":"b","type":"function","function":{"name":"heat","arguments":""},"extra_content":{"z":1,"a":2}})";
  const auto events = events_of(chat.writer->call(0, {1, call, "{\"r"}) + chat.writer->call(0, {1, {}, "oom\":1}"}) +
                                chat.writer->call(0, {1, R"({"late":true})", {}}));
  REQUIRE(events.size() == 4);
  const auto delta = [&](std::size_t event) { return events[event]["choices"][0]["delta"]["tool_calls"][0]; };
  Json first = Json::parse(call);
  first["index"] = 1;
  CHECK(delta(0) == first);
  CHECK(delta(1) == Json::parse(R"({"index":1,"function":{"arguments":"{\"r"}})"));
  CHECK(delta(2) == Json::parse(R"({"index":1,"function":{"arguments":"oom\":1}"}})"));
  CHECK(delta(3) == Json::parse(R"({"index":1,"late":true})"));
}

TEST_CASE("the calls of a result are known by name, and one of an unknown shape is an error") {
  const auto chat = asked(chat_completions, R"({"model":"m","messages":[]})");
  const auto calls_of = [&](const std::string& calls) {
    return chat.writer->calls_of(R"({"choices":[{"message":{"tool_calls":)" + calls + "}}]}");
  };
  const auto two = calls_of(R"([{"id":"a","function":{"name":"f","arguments":"{}"}},)"
                            R"({"id":"b","function":{"name":"g","arguments":{"x":1e400}}}])");
  REQUIRE(two);
  REQUIRE(two->size() == 2);
  CHECK(two->at(0).arguments == "{}");
  CHECK(two->at(1).name == "g");
  CHECK(two->at(1).arguments == R"({"x":1e400})");
  CHECK(two->at(1).call == R"({"id":"b","function":{"name":"g","arguments":""}})");
  CHECK(calls_of("null")->empty());
  CHECK(chat.writer->calls_of("{}")->empty());
  for (const char* odd : {"5", "[5]", "[null]", R"([{"id":"a"}])", R"([{"id":"a","function":{"arguments":"{}"}}])"}) {
    INFO(odd);
    CHECK_FALSE(calls_of(odd));
  }
}

TEST_CASE("a completion is text, whole and in pieces") {
  const auto one = asked(completions, R"({"model":"m","prompt":"x"})");
  CHECK(one.question.capability.str() == "llm.generate");
  CHECK(json_of(one.writer->text(0, "Hi", Channel::content))["choices"][0]["text"] == "Hi");
  const auto record = record_of(R"({"choices":[{"text":"Hi","finish_reason":"length"}]})");
  const Json whole = whole_of(one, {record});
  CHECK(whole["object"] == "text_completion");
  CHECK(whole["choices"][0]["finish_reason"] == "length");
  CHECK(one.writer->text_of(record.output, Channel::content) == "Hi");
}

TEST_CASE("embeddings are floats or their bytes in base64, and never a stream") {
  const auto record = record_of(R"({"model":"m","data":[{"index":0,"embedding":[1.0,-2.5]}]})");
  const auto coded = asked(embeddings, R"({"model":"m","input":"x","encoding_format":"base64","stream":true})");
  CHECK_FALSE(coded.question.stream);
  const Json answer = whole_of(coded, {record});
  CHECK(answer["data"][0]["embedding"] == "AACAPwAAIMA=");  // base64 of two little-endian floats, by another program
  CHECK(answer["object"] == "list");
  CHECK(answer["id"] == "embd-" + task.str());
  const auto plain = asked(embeddings, R"({"model":"m","input":"x"})");
  CHECK(whole_of(plain, {record})["data"][0]["embedding"][1] == -2.5);
}

TEST_CASE("embeddings have counts even if the back end reports none") {
  const auto plain = asked(embeddings, R"({"model":"m","input":"x"})");
  const char* output = R"({"data":[{"index":0,"embedding":[1,2]}]})";
  CHECK(whole_of(plain, {record_of(output)})["usage"]["prompt_tokens"] == 0);
  const auto counted = record_of(output, R"({"prompt_tokens":3,"total_tokens":3})");
  CHECK(whole_of(plain, {counted})["usage"]["prompt_tokens"] == 3);
}

TEST_CASE("a long list of inputs is split over tasks and joined in order") {
  std::string inputs;
  for (int i = 0; i < 20; ++i) inputs += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\"";
  const auto many = asked(embeddings, R"({"model":"m","user":"me","input":[)" + inputs + "]}");
  CHECK(many.question.input == R"({"model":"m","user":"me","input":[]})");
  REQUIRE(many.question.tasks.size() == 3);
  CHECK(many.question.tasks[2] == OwnMembers{{"input", R"(["16","17","18","19"])"}});
  std::vector<TaskRecord> records;
  for (const auto& members : many.question.tasks) {
    Json data = Json::array();
    const Json given = Json::parse(members.front().second);
    for (std::size_t i = given.size(); i-- > 0;) {  // in any order
      data.push_back({{"index", i}, {"embedding", Json::array({std::stoi(given[i].get<std::string>())})}});
    }
    records.push_back(record_of(Json{{"data", data}}.dump(), R"({"prompt_tokens":2,"total_tokens":2})"));
  }
  const Json answer = whole_of(many, records);
  REQUIRE(answer["data"].size() == 20);
  for (std::size_t i = 0; i < 20; ++i) {
    CHECK(answer["data"][i]["index"] == i);
    CHECK(answer["data"][i]["embedding"][0] == i);
  }
  CHECK(answer["usage"]["prompt_tokens"] == 6);
}

TEST_CASE("inputs are split by size too, and a list has a bound") {
  const std::string large(40'000, 'x');
  const auto two = asked(embeddings, R"({"model":"m","input":[")" + large + "\",\"" + large + R"("]})");
  CHECK(two.question.tasks.size() == 2);
  std::string inputs = "\"a\"";
  for (int i = 1; i < 2049; ++i) inputs += ",\"a\"";
  CHECK(error_of(embeddings, R"({"model":"m","input":[)" + inputs + "]}").find("2048") != std::string::npos);
}

TEST_CASE("an embedding is passed on with its digits, and one that is missing is an error") {
  const auto two = asked(embeddings, R"({"model":"m","input":["a","b"]})");
  const auto record = [](const char* data) { return record_of(R"({"data":)" + std::string(data) + "}"); };
  REQUIRE(two.writer->add(0, record(R"([{"index":0,"embedding":[0.10,1e-400]},{"index":1,"embedding":[2]}])")));
  CHECK(two.writer->whole().find("[0.10,1e-400]") != std::string::npos);
  for (const char* bad : {"[]", R"([{"index":0,"embedding":[1]}])", R"([{"embedding":[1]},{"embedding":5}])",
                          R"([{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}])",
                          R"([{"index":1,"embedding":[1]},{"index":2,"embedding":[1]}])", "5"}) {
    INFO(bad);
    CHECK_FALSE(two.writer->add(0, record(bad)));
  }
}

TEST_CASE("what is no number does not become 0.0 in base64, nor is it passed on as a vector") {
  for (const char* format : {"float", "base64"}) {
    const auto one = asked(embeddings, R"({"model":"m","input":"x","encoding_format":")" + std::string(format) + "\"}");
    for (const char* bad : {"[null]", R"(["0.5"])", "[[1]]", "[{}]", "[true]", "[1e400]", "[1e39]", "[]"}) {
      INFO(format << " " << bad);
      CHECK_FALSE(one.writer->add(0, record_of(R"({"data":[{"embedding":)" + std::string(bad) + "}]}")));
    }
  }
}

TEST_CASE("a comment is one line") {
  const auto one = asked(completions, R"({"model":"m","prompt":"x"})");
  CHECK(one.writer->comment("1 agent offers llm.chat\r\ndata: x") == ": 1 agent offers llm.chat  data: x\n\n");
}

TEST_CASE("a failed task becomes an error that OpenAI's clients understand") {
  TaskRecord record;
  record.state = TaskState::failed;
  record.error = TaskError{"context_too_long", "too long", false, {}};
  CHECK(failure_of(record).status == 400);
  CHECK(failure_of(record).code == "context_length_exceeded");
  record.error = TaskError{"rate_limited", "wait", true, {}};
  CHECK(failure_of(record).status == 429);
  record.error = TaskError{"something_else", "x", true, {}};
  CHECK(failure_of(record).status == 502);
}

TEST_CASE("a budget that is used up is OpenAI's insufficient_quota, with the time until it begins anew") {
  const auto reply = openai_reply(failure_of(Error{"used up", ErrorKind::used_up, std::chrono::seconds(90)}));
  CHECK(reply.status == 429);
  CHECK(reply.headers.get("Retry-After") == "90");
  CHECK(reply.body ==
        R"({"error":{"code":"insufficient_quota","message":"used up","param":null,"type":"insufficient_quota"}})");
}

TEST_CASE("only errors below /v1 have OpenAI's shape") {
  for (const char* path : {"/v1", "/v1/x", "/openai/v1/models"}) CHECK(has_openai_shape(path));
  for (const char* path : {"/", "/v1x", "/api/v1/tasks", "/openai/v2", ""}) CHECK_FALSE(has_openai_shape(path));
}

TEST_CASE("an output of a strange shape throws nowhere") {
  for (const char* output :
       {"null", "[]", "5", R"({"choices":5})", R"({"choices":[5]})", R"({"choices":[{"message":[]}]})",
        R"({"choices":[{"message":{"tool_calls":5}}]})", R"({"data":5})", R"({"data":[5]})",
        R"({"choices":[{"message":{"tool_calls":[5,null,{"id":"a"}],"content":{}}}]})"}) {
    INFO(output);
    const auto record = record_of(output, "[]");
    for (const Dialect* dialect : dialects) {
      for (const char* more : {"", R"("functions":[],)"}) {
        const auto read = asked(*dialect, R"({"model":"m","input":"x",)" + std::string(more) +
                                              R"("messages":[],"stream_options":{"include_usage":true}})");
        (void)read.writer->add(0, record);
        CHECK_FALSE(read.writer->whole().empty());
        (void)read.writer->end_part(0, record);
        for (const Channel channel : {Channel::reasoning, Channel::content})
          (void)read.writer->text_of(output, channel);
        (void)read.writer->calls_of(output);
      }
    }
  }
}

TEST_CASE("a result without a choice is an error, never an empty answer") {
  for (const Dialect* dialect : {&chat_completions, &completions}) {
    for (const char* output : {"null", "{}", R"({"choices":[]})", R"({"choices":[5]})"}) {
      INFO(output);
      const auto read = asked(*dialect, R"({"model":"m","messages":[],"prompt":"x"})");
      CHECK_FALSE(read.writer->add(0, record_of(output)));
      CHECK_FALSE(read.writer->end_part(0, record_of(output)));
    }
  }
}
