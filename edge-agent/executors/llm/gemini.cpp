// Google's generateContent.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "edge-agent/executors/llm/history.hpp"
#include "edge-agent/executors/llm/mapped_request.hpp"
#include "edge-agent/executors/llm/picture.hpp"
#include "edge-agent/executors/llm/provider.hpp"
#include "edge-agent/executors/llm/shape.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 8> generation = {{
    {"temperature", "temperature"},
    {"top_p", "topP"},
    {"top_k", "topK"},
    {"presence_penalty", "presencePenalty"},
    {"frequency_penalty", "frequencyPenalty"},
    {"seed", "seed"},
    {"max_completion_tokens", "maxOutputTokens"},
    {"max_tokens", "maxOutputTokens"},
}};

// Number of tokens that a model may use for thinking.
const std::map<std::string, int> thinking_budgets = {
    {"none", 0}, {"minimal", 512}, {"low", 1024}, {"medium", 8192}, {"high", 24576}};

// Google's place for a signature in OpenAI's format: {"google":{"thought_signature"}}. A model that thinks needs the
// signatures of its calls back.
std::string_view signature_in(const Members& call_or_message) {
  const auto extra = call_or_message.object("extra_content");
  const auto google = extra.object("google");
  return is_text(google.at("thought_signature")) ? google.at("thought_signature") : "";
}

std::string with_signature(std::string_view signature) {
  return R"({"google":{"thought_signature":)" + std::string(signature) + "}}";
}

std::string text_part(std::string_view text) {
  std::string part;
  json::ObjectWriter(part).raw("text", text);
  return part;
}

Result<std::string> part_of(const Members& part) {
  const auto type = part.text("type");
  if (type == "text" || type == "refusal") return text_part(json::quoted(part.text(type)));
  if (type != "image_url") return unsupported("a part of a message of type `" + type + "` is not supported by gemini");
  const auto picture = picture_of(part);
  if (!picture) return picture.error();
  std::string made;
  {
    json::ObjectWriter writer(made);
    json::ObjectWriter data(writer.key("inlineData"));
    data.string("mimeType", picture->media_type);
    data.string("data", picture->base64);
  }
  return made;
}

Result<std::vector<std::string>> parts_of(std::string_view content) {
  std::vector<std::string> parts;
  if (is_text(content)) parts.push_back(text_part(content));
  for (const std::string_view one : list_of(content)) {
    auto part = part_of(Members(one));
    if (!part) return part.error();
    parts.push_back(std::move(*part));
  }
  return parts;
}

std::string list_of_texts(const std::vector<std::string>& values) {
  std::string out;
  {
    json::ArrayWriter list(out);
    for (const auto& value : values) list.next() += value;
  }
  return out;
}

// The text of a tool message: OpenAI's API permits only text in it.
Result<std::string> text_of_result(std::string_view content) {
  if (!is_list(content)) return text_of(content);
  std::string text;
  for (const std::string_view one : list_of(content)) {
    const Members part(one);
    if (part.text("type") != "text") return invalid("a part of a tool message must be of type `text`");
    text += part.text("text");
  }
  return text;
}

// OpenAI's calls have ids, Gemini's have names.
class Conversation {
 public:
  Status add(std::string_view text) {
    const Members message(text);
    const auto role = message.text("role");
    if (role == "tool") return add_result(message);
    auto parts = parts_of(message.at("content"));
    if (!parts) return parts.error();
    if (role == "system" || role == "developer") {
      system_.insert(system_.end(), parts->begin(), parts->end());
      return success();
    }
    // An empty text beside calls has no meaning, and Gemini refuses it.
    if (message.at("content") == "\"\"" && !message.list("tool_calls").empty()) parts->clear();
    if (!message.text("refusal").empty()) parts->push_back(text_part(message.at("refusal")));
    if (auto added = add_calls(message, *parts); !added) return added;
    if (parts->empty()) parts->push_back(text_part("\"\""));  // Gemini refuses a turn without parts
    add_turn(role == "assistant" ? "model" : "user", *parts);
    return success();
  }
  void add_prompt(std::string_view prompt) { add_turn("user", {text_part(prompt)}); }

  void write(json::ObjectWriter& body) {
    end_results();
    body.raw("contents", list_of_texts(contents_));
    if (!system_.empty()) body.raw("systemInstruction", R"({"parts":)" + list_of_texts(system_) + "}");
  }

 private:
  void add_turn(const char* role, const std::vector<std::string>& parts) {
    end_results();
    std::string turn;
    {
      json::ObjectWriter writer(turn);
      writer.string("role", role);
      writer.raw("parts", list_of_texts(parts));
    }
    contents_.push_back(std::move(turn));
  }

  Status add_calls(const Members& message, std::vector<std::string>& parts) {
    if (const auto signature = signature_in(message); !signature.empty() && !parts.empty()) {
      parts.back() = json::with(Members(parts.back()).all(), "thoughtSignature", signature);
    }
    const auto calls = message.list("tool_calls");
    if (!calls.empty()) calls_.begin_turn();
    for (const std::string_view one : calls) {
      const Members call(one);
      const Members function = call.object("function");
      const auto arguments = arguments_of(function.at("arguments"));
      if (!arguments) return invalid("the `arguments` of a tool call must be an object, written as JSON");
      calls_.add(call.text("id"), function.text("name"));
      json::ObjectWriter part(parts.emplace_back());
      {
        json::ObjectWriter made(part.key("functionCall"));
        made.string("name", function.text("name"));
        made.raw("args", *arguments);
      }
      if (const auto signature = signature_in(call); !signature.empty()) part.raw("thoughtSignature", signature);
    }
    return success();
  }

  // All results of a turn's calls must be in one turn, because Gemini counts them, and in the order of the calls: two
  // calls may have the same name.
  Status add_result(const Members& message) {
    const auto* call = calls_.answer(message.text("tool_call_id"));
    if (call == nullptr) return invalid("a tool message answers a `tool_call_id` that no earlier message has");
    const auto text = text_of_result(message.at("content"));
    if (!text) return text.error();
    std::string part;
    {
      json::ObjectWriter writer(part);
      json::ObjectWriter response(writer.key("functionResponse"));
      response.string("name", call->name);
      const bool object = json::well_formed(*text) && Members(*text).is_object();
      response.raw("response", object ? *text : R"({"result":)" + json::quoted(*text) + "}");
    }
    results_.emplace(calls_.position(*call), std::move(part));
    return success();
  }

  void end_results() {
    if (results_.empty()) return;
    std::vector<std::string> parts;
    for (auto& [position, part] : std::exchange(results_, {})) parts.push_back(part);
    add_turn("user", parts);
  }

  std::vector<std::string> contents_;
  std::vector<std::string> system_;
  CallsSoFar calls_;
  std::multimap<std::size_t, std::string> results_;  // of the turn that has not ended, by the position of the call
};

Status add_format(const Members& format, json::ObjectWriter& config) {
  const auto type = format.text("type");
  if (type.empty() || type == "text") return success();
  config.string("responseMimeType", "application/json");
  if (type == "json_object") return success();
  const Members schema = format.object("json_schema");
  if (type != "json_schema" || !is_object(schema.at("schema"))) {
    return invalid("`response_format` must be text, json_object, or json_schema with its schema");
  }
  config.raw("responseJsonSchema", schema.at("schema"));
  return success();
}

Status add_declarations(std::string_view tools, json::ObjectWriter& body) {
  json::ArrayWriter list(body.key("tools"));
  json::ObjectWriter only(list.next());
  json::ArrayWriter functions(only.key("functionDeclarations"));
  for (const std::string_view tool : list_of(tools)) {
    const Members members(tool);
    const Members function = members.object("function");
    if (members.text("type") != "function" || function.text("name").empty()) {
      return invalid("each of `tools` must be of type function and have a name");
    }
    json::ObjectWriter made(functions.next());
    made.raw("name", function.at("name"));
    made.raw("description", is_text(function.at("description")) ? function.at("description") : "\"\"");
    if (is_object(function.at("parameters"))) made.raw("parametersJsonSchema", function.at("parameters"));
  }
  return success();
}

Status add_tools(const Members& request, json::ObjectWriter& body) {
  if (list_of(request.at("tools")).empty()) return success();
  if (auto added = add_declarations(request.at("tools"), body); !added) return added;
  const auto choice = request.at("tool_choice");
  if (choice == "null") return success();
  static const std::map<std::string, const char*> modes = {{"auto", "AUTO"}, {"none", "NONE"}, {"required", "ANY"}};
  json::ObjectWriter tool_config(body.key("toolConfig"));
  json::ObjectWriter config(tool_config.key("functionCallingConfig"));
  if (const auto mode = modes.find(text_of(choice)); mode != modes.end()) {
    config.string("mode", mode->second);
  } else if (const auto name = Members(choice).object("function").text("name"); !name.empty()) {
    config.string("mode", "ANY");
    config.raw("allowedFunctionNames", "[" + json::quoted(name) + "]");
  } else {
    return invalid("`tool_choice` must be auto, none, required, or a function with its name");
  }
  return success();
}

Status add_thinking(const std::string& effort, json::ObjectWriter& config) {
  if (effort.empty()) return success();
  const auto budget = thinking_budgets.find(effort);
  if (budget == thinking_budgets.end()) {
    return invalid("`reasoning_effort` must be none, minimal, low, medium or high");
  }
  json::ObjectWriter thinking(config.key("thinkingConfig"));
  thinking.integer("thinkingBudget", budget->second);
  thinking.boolean("includeThoughts", budget->second > 0);
  return success();
}

Status add_generation(const Members& request, json::ObjectWriter& body) {
  std::string made;
  {
    json::ObjectWriter config(made);
    for (const auto& [ours, theirs] : generation) {
      const bool overruled = std::string_view(ours) == "max_completion_tokens" && request.has("max_tokens");
      if (request.has(ours) && !overruled) config.raw(theirs, request.at(ours));
    }
    if (const auto stop = request.at("stop"); stop != "null") {
      config.raw("stopSequences", is_text(stop) ? "[" + std::string(stop) + "]" : stop);
    }
    if (auto added = add_format(request.object("response_format"), config); !added) return added;
    if (auto added = add_thinking(request.text("reasoning_effort"), config); !added) return added;
  }
  if (made != "{}") body.raw("generationConfig", made);
  return success();
}

// Other reasons mean that the answer could not be made.
constexpr std::array<std::string_view, 7> filtered = {"SAFETY", "RECITATION",   "BLOCKLIST",       "PROHIBITED_CONTENT",
                                                      "SPII",   "IMAGE_SAFETY", "IMAGE_RECITATION"};
constexpr std::array<std::string_view, 3> hopeless = {"MISSING_THOUGHT_SIGNATURE", "LANGUAGE", "NO_IMAGE"};

// What the members of an answer are read from, or what says nothing to a client; "choices" and "data" are ours.
constexpr std::array<std::string_view, 9> known_of_answer = {"candidates", "usageMetadata",  "modelVersion",
                                                             "responseId", "promptFeedback", "createTime",
                                                             "embeddings", "choices",        "data"};
constexpr std::array<std::string_view, 3> known_of_call = {"id", "name", "args"};
constexpr std::array<std::string_view, 4> known_of_part = {"text", "thought", "thoughtSignature", "functionCall"};
// The others pass by: sources and citations, for example.
constexpr std::array<std::string_view, 7> known_of_candidate = {"content",    "finishReason", "finishMessage", "index",
                                                                "tokenCount", "avgLogprobs",  "safetyRatings"};

class Gemini final : public Provider {
 public:
  [[nodiscard]] std::vector<RequestKind> kinds() const override {
    return {RequestKind::chat, RequestKind::generate, RequestKind::embed};
  }
  [[nodiscard]] http::Headers headers(const std::string& key) const override { return {{"x-goog-api-key", key}}; }

  [[nodiscard]] Result<BackendRequest> encode(RequestKind kind, std::string_view text) const override {
    const Members request(text);
    if (auto good = check_mapped(request, "gemini"); !good) return good.error();
    const auto model = request.text("model");
    // It becomes part of the path.
    if (model.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") !=
        std::string::npos) {
      return invalid("`model`: \"" + model + "\" is not the name of a Gemini model");
    }
    const std::string path = "/v1beta/models/" + model;
    if (kind == RequestKind::embed)
      return BackendRequest{path + ":batchEmbedContents", embed_body(model, request), Framing::whole};
    std::string body;
    {
      json::ObjectWriter writer(body);
      if (auto added = add_conversation(kind, request, writer); !added) return added.error();
      if (auto added = add_generation(request, writer); !added) return added.error();
      if (auto added = add_tools(request, writer); !added) return added.error();
    }
    return BackendRequest{path + ":streamGenerateContent?alt=sse", std::move(body), Framing::events};
  }

  void decode(RequestKind kind, std::string_view text, Answer& answer) const override {
    const Members piece(text);
    if (kind == RequestKind::embed) return read_embeddings(piece, answer);
    answer.set_model(piece.text("modelVersion"));
    if (const auto usage = piece.at("usageMetadata"); is_object(usage)) read_usage(Members(usage), answer);
    for (const auto& [value, candidate] : pieces_of_choice(piece, "candidates", answer)) {
      read_candidate(candidate, answer);
    }
    pass_on(piece, known_of_answer, answer);
    const bool says_how_far = piece.has("promptFeedback") || piece.has("usageMetadata");
    if (!piece.has("candidates") && !says_how_far) answer.ignore(text);
    const Members feedback = object_in(piece, "promptFeedback", answer);
    if (const auto blocked = text_in(feedback, "blockReason", answer); !blocked.empty()) {
      answer.add_refusal("Gemini does not answer this prompt: " + blocked);
      answer.finish("content_filter");
    }
  }

  [[nodiscard]] std::vector<std::string> listing_paths() const override { return {"/v1beta/models?pageSize=1000"}; }

  void read_listing(std::size_t, const Json& body, Listing& listing) const override {
    const Json& models = at(body, "models");
    if (!models.is_array()) return;
    for (const Json& model : models) {
      const auto name = text_at(model, "name");  // models/NAME
      if (const auto slash = name.find('/'); slash != std::string::npos)
        listing.models.push_back(name.substr(slash + 1));
    }
    listing.loaded = listing.models;
  }

 private:
  static Status add_conversation(RequestKind kind, const Members& request, json::ObjectWriter& body) {
    Conversation conversation;
    if (kind == RequestKind::generate) conversation.add_prompt(request.at("prompt"));
    for (const std::string_view message : request.list("messages")) {
      if (auto added = conversation.add(message); !added) return added;
    }
    conversation.write(body);
    return success();
  }

  static void read_usage(const Members& usage, Answer& answer) {
    Usage read;
    read.prompt_tokens = usage.count("promptTokenCount").value_or(0);
    read.reasoning_tokens = usage.count("thoughtsTokenCount");
    read.completion_tokens = usage.count("candidatesTokenCount").value_or(0) + read.reasoning_tokens.value_or(0);
    read.cached_tokens = usage.count("cachedContentTokenCount");
    answer.usage = read;
  }

  static void read_candidate(const Members& candidate, Answer& answer) {
    for (const std::string_view value : list_in(object_in(candidate, "content", answer), "parts", answer)) {
      if (const auto part = as_object(value, "a part", answer)) read_part(*part, answer);
    }
    for (const auto& [name, value] : candidate.all().members()) {
      if (std::ranges::count(known_of_candidate, name) == 0) answer.add_choice_member(name, value);
    }
    const auto reason = text_in(candidate, "finishReason", answer);
    if (reason.empty() || reason == "FINISH_REASON_UNSPECIFIED") return;
    if (reason == "STOP") return answer.finish(answer.calls_tools() ? "tool_calls" : "stop");
    if (reason == "MAX_TOKENS") return answer.finish("length");
    if (std::ranges::count(filtered, reason) > 0) return answer.finish("content_filter");
    const auto message = candidate.text("finishMessage");
    answer.fail(TaskError{"bad_answer",
                          "Gemini ended its answer: " + reason + (message.empty() ? "" : ": " + message),
                          std::ranges::count(hopeless, reason) == 0,
                          {}});
  }

  // What is not understood may be a part of the message, which must not be lost: `partialArgs`, for example.
  static bool all_known(const Members& members, std::span<const std::string_view> known, const std::string& what,
                        Answer& answer) {
    for (const auto& [name, value] : members.all().members()) {
      if (value == "null" || std::ranges::count(known, name) > 0) continue;
      answer.fail_unknown(what + " with `" + name + "`");
      return false;
    }
    return true;
  }

  static void read_part(const Members& part, Answer& answer) {
    if (!all_known(part, known_of_part, "a part", answer)) return;
    answer.add_text(text_in(part, "text", answer), part.at("thought") == "true");
    const auto signature = part.at("thoughtSignature");
    if (part.has("functionCall")) return read_call(object_in(part, "functionCall", answer), signature, answer);
    if (is_text(signature)) answer.add_message_member("extra_content", with_signature(signature));
  }

  static void read_call(const Members& call, std::string_view signature, Answer& answer) {
    if (!all_known(call, known_of_call, "a call", answer)) return;
    std::string made;
    {
      json::ObjectWriter writer(made);
      if (is_text(call.at("id"))) writer.raw("id", call.at("id"));
      {
        json::ObjectWriter function(writer.key("function"));
        function.raw("name", call.at("name"));
        function.raw("arguments", call.at("args"));
      }
      if (is_text(signature)) writer.raw("extra_content", with_signature(signature));
    }
    answer.add_tool_call(made, CallForm::whole);
  }

  static std::string embed_body(const std::string& model, const Members& request) {
    const auto input = request.at("input");
    std::string body;
    {
      json::ObjectWriter writer(body);
      json::ArrayWriter requests(writer.key("requests"));
      for (const std::string_view text : is_text(input) ? std::vector{input} : list_of(input)) {
        json::ObjectWriter one(requests.next());
        one.string("model", "models/" + model);
        one.raw("content", R"({"parts":[)" + text_part(text) + "]}");
        if (request.has("dimensions")) one.raw("outputDimensionality", request.at("dimensions"));
      }
    }
    return body;
  }

  static void read_embeddings(const Members& body, Answer& answer) {
    const auto all = list_in(body, "embeddings", answer);
    if (all.empty()) return answer.fail_unknown("no embeddings");
    for (const std::string_view one : all) answer.add_embedding(Members(one).at("values"));
    pass_on(body, known_of_answer, answer);
    answer.finish({});
  }
};

}  // namespace

std::unique_ptr<Provider> make_gemini(const Config&) { return std::make_unique<Gemini>(); }

}  // namespace edgefleet::agent::llm
