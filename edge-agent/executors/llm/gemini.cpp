// Google's generateContent.
#include <array>
#include <map>

#include "edge-agent/executors/llm/picture.hpp"
#include "edge-agent/executors/llm/provider.hpp"

namespace edgefleet::agent::llm {
namespace {

constexpr std::array<std::pair<const char*, const char*>, 9> generation = {{
    {"temperature", "temperature"},
    {"top_p", "topP"},
    {"top_k", "topK"},
    {"presence_penalty", "presencePenalty"},
    {"frequency_penalty", "frequencyPenalty"},
    {"seed", "seed"},
    {"max_completion_tokens", "maxOutputTokens"},
    {"max_tokens", "maxOutputTokens"},  // the later one wins
    {"stop", "stopSequences"},
}};

// Number of tokens that a model may use for thinking.
const std::map<std::string, int> thinking_budgets = {
    {"none", 0}, {"minimal", 512}, {"low", 1024}, {"medium", 8192}, {"high", 24576}};

Result<Json> parts_of(const Json& content) {
  Json parts = Json::array();
  if (content.is_string()) {
    parts.push_back({{"text", content}});
    return parts;
  }
  if (!content.is_array()) return parts;
  for (const Json& part : content) {
    const auto type = text_at(part, "type");
    if (type == "text") {
      parts.push_back({{"text", text_at(part, "text")}});
    } else if (type == "image_url") {
      const auto picture = picture_of(part);
      if (!picture) return picture.error();
      parts.push_back({{"inlineData", {{"mimeType", picture->media_type}, {"data", picture->base64}}}});
    } else {
      return invalid("a part of a message of type `" + type + "` is not supported by gemini");
    }
  }
  return parts;
}

// OpenAI's calls have ids, Gemini's have names.
class Conversation {
 public:
  Status add(const Json& message) {
    const auto role = text_at(message, "role");
    auto parts = parts_of(at(message, "content"));
    if (!parts) return parts.error();
    if (role == "system" || role == "developer") {
      system_.insert(system_.end(), parts->begin(), parts->end());
      return success();
    }
    if (role == "tool") return add_result(message);
    answering_ = false;
    if (auto added = add_calls(at(message, "tool_calls"), *parts); !added) return added;
    contents_.push_back({{"role", role == "assistant" ? "model" : "user"}, {"parts", *parts}});
    return success();
  }

  void put_into(Json& body) const {
    body["contents"] = contents_;
    if (!system_.empty()) body["systemInstruction"] = {{"parts", system_}};
  }

 private:
  Status add_calls(const Json& calls, Json& parts) {
    if (!calls.is_array()) return success();
    for (const Json& call : calls) {
      const Json& function = at(call, "function");
      Json arguments = at(function, "arguments");
      if (arguments.is_string()) arguments = Json::parse(arguments.get<std::string>(), nullptr, false);
      if (!arguments.is_object()) return invalid("the `arguments` of a tool call must be an object, written as JSON");
      const auto name = text_at(function, "name");
      names_[text_at(call, "id")] = name;
      parts.push_back({{"functionCall", {{"name", name}, {"args", arguments}}}});
    }
    return success();
  }

  Status add_result(const Json& message) {
    const auto name = names_.find(text_at(message, "tool_call_id"));
    if (name == names_.end()) return invalid("a tool message answers a `tool_call_id` that no earlier message has");
    Json result = at(message, "content");
    if (result.is_string()) {
      const Json parsed = Json::parse(result.get<std::string>(), nullptr, false);
      result = parsed.is_object() ? parsed : Json{{"result", result}};
    }
    const Json part = {{"functionResponse", {{"name", name->second}, {"response", result}}}};
    // All results of a turn's calls must be in one turn: Gemini counts them.
    if (!answering_) contents_.push_back({{"role", "user"}, {"parts", Json::array()}});
    answering_ = true;
    contents_.back()["parts"].push_back(part);
    return success();
  }

  Json contents_ = Json::array();
  Json system_ = Json::array();
  bool answering_ = false;  // the last turn has results of calls
  std::map<std::string, std::string> names_;
};

Status add_format(const Json& format, Json& config) {
  const auto type = text_at(format, "type");
  if (type.empty() || type == "text") return success();
  config["responseMimeType"] = "application/json";
  if (type == "json_object") return success();
  const Json& schema = at(at(format, "json_schema"), "schema");
  if (type != "json_schema" || !schema.is_object()) {
    return invalid("`response_format` must be text, json_object, or json_schema with its schema");
  }
  config["responseJsonSchema"] = schema;
  return success();
}

Status add_tools(const Json& request, Json& body) {
  const Json& tools = at(request, "tools");
  if (tools.is_null()) return success();
  Json functions = Json::array();
  for (const Json& tool : tools) {
    const Json& function = at(tool, "function");
    if (text_at(tool, "type") != "function" || text_at(function, "name").empty()) {
      return invalid("each of `tools` must be of type function and have a name");
    }
    Json made = {{"name", text_at(function, "name")}, {"description", text_at(function, "description")}};
    if (const Json& parameters = at(function, "parameters"); parameters.is_object()) {
      made["parametersJsonSchema"] = parameters;
    }
    functions.push_back(made);
  }
  body["tools"] = Json::array({{{"functionDeclarations", functions}}});
  const Json& choice = at(request, "tool_choice");
  if (choice.is_null()) return success();
  Json config;
  if (choice == "auto" || choice == "none" || choice == "required") {
    config = {{"mode", choice == "auto" ? "AUTO" : choice == "none" ? "NONE" : "ANY"}};
  } else if (const auto name = text_at(at(choice, "function"), "name"); !name.empty()) {
    config = {{"mode", "ANY"}, {"allowedFunctionNames", Json::array({name})}};
  } else {
    return invalid("`tool_choice` must be auto, none, required, or a function with its name");
  }
  body["toolConfig"] = {{"functionCallingConfig", config}};
  return success();
}

Result<Json> generation_config(const Json& request) {
  Json config = Json::object();
  for (const auto& [ours, theirs] : generation) {
    if (request.contains(ours)) config[theirs] = request[ours];
  }
  if (config.contains("stopSequences") && config["stopSequences"].is_string()) {
    config["stopSequences"] = Json::array({config["stopSequences"]});
  }
  if (auto added = add_format(at(request, "response_format"), config); !added) return added.error();
  if (const auto effort = text_at(request, "reasoning_effort"); !effort.empty()) {
    const auto budget = thinking_budgets.find(effort);
    if (budget == thinking_budgets.end()) {
      return invalid("`reasoning_effort` must be none, minimal, low, medium or high");
    }
    config["thinkingConfig"] = {{"thinkingBudget", budget->second}, {"includeThoughts", budget->second > 0}};
  }
  return config;
}

// Other values are kinds of refusal: SAFETY, RECITATION, BLOCKLIST, PROHIBITED_CONTENT, ...
std::string finish_reason_of(const std::string& theirs, bool calls) {
  if (theirs == "STOP") return calls ? "tool_calls" : "stop";
  if (theirs == "MAX_TOKENS") return "length";
  return "content_filter";
}

class Gemini final : public Provider {
 public:
  [[nodiscard]] std::vector<RequestKind> kinds() const override {
    return {RequestKind::chat, RequestKind::generate, RequestKind::embed};
  }
  [[nodiscard]] http::Headers headers(const std::string& key) const override { return {{"x-goog-api-key", key}}; }

  [[nodiscard]] Result<BackendRequest> encode(RequestKind kind, const Json& request) const override {
    const auto model = text_at(request, "model");
    // It becomes part of the path.
    if (model.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") !=
        std::string::npos) {
      return invalid("`model`: \"" + model + "\" is not the name of a Gemini model");
    }
    const std::string path = "/v1beta/models/" + model;
    if (kind == RequestKind::embed)
      return BackendRequest{path + ":batchEmbedContents", embed_body(model, request), Framing::whole};
    Json body;
    Conversation conversation;
    if (kind == RequestKind::generate) {
      if (auto added = conversation.add({{"role", "user"}, {"content", request["prompt"]}}); !added) {
        return added.error();
      }
    } else {
      for (const Json& message : request["messages"]) {
        if (auto added = conversation.add(message); !added) return added.error();
      }
    }
    conversation.put_into(body);
    auto config = generation_config(request);
    if (!config) return config.error();
    if (!config->empty()) body["generationConfig"] = *config;
    if (auto added = add_tools(request, body); !added) return added.error();
    return BackendRequest{path + ":streamGenerateContent?alt=sse", body.dump(), Framing::events};
  }

  void decode(RequestKind kind, const Json& piece, Answer& answer) const override {
    if (kind == RequestKind::embed) return read_embeddings(piece, answer);
    if (const auto model = text_at(piece, "modelVersion"); !model.empty()) answer.model = model;
    const Json& candidate = first_of(piece, "candidates");
    if (const Json& parts = at(at(candidate, "content"), "parts"); parts.is_array()) {
      for (const Json& part : parts) read_part(part, answer);
    }
    if (const Json& usage = at(piece, "usageMetadata"); usage.is_object()) {
      Usage read;
      read.prompt_tokens = count_at(usage, "promptTokenCount").value_or(0);
      read.reasoning_tokens = count_at(usage, "thoughtsTokenCount");
      read.completion_tokens = count_at(usage, "candidatesTokenCount").value_or(0) + read.reasoning_tokens.value_or(0);
      read.cached_tokens = count_at(usage, "cachedContentTokenCount");
      answer.usage = read;
    }
    if (const auto reason = text_at(candidate, "finishReason"); !reason.empty()) {
      answer.finish_reason = finish_reason_of(reason, answer.calls_tools());
      answer.complete = true;
    }
    if (const auto blocked = text_at(at(piece, "promptFeedback"), "blockReason"); !blocked.empty()) {
      answer.finish_reason = "content_filter";
      answer.complete = true;
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
  static void read_part(const Json& part, Answer& answer) {
    if (const auto text = text_at(part, "text"); !text.empty()) answer.add_text(text, at(part, "thought") == true);
    const Json& call = at(part, "functionCall");
    if (!call.is_object()) return;
    answer.add_tool_call({{"id", "call_" + std::to_string(answer.bytes())},
                          {"function", {{"name", text_at(call, "name")}, {"arguments", at(call, "args").dump()}}}});
  }

  static std::string embed_body(const std::string& model, const Json& request) {
    const Json inputs = request["input"].is_string() ? Json::array({request["input"]}) : request["input"];
    Json requests = Json::array();
    for (const Json& input : inputs) {
      Json one = {{"model", "models/" + model}, {"content", {{"parts", Json::array({{{"text", input}}})}}}};
      if (request.contains("dimensions")) one["outputDimensionality"] = request["dimensions"];
      requests.push_back(one);
    }
    return Json{{"requests", requests}}.dump();
  }

  static void read_embeddings(const Json& body, Answer& answer) {
    const Json& all = at(body, "embeddings");
    if (!all.is_array()) return;
    for (const Json& one : all) {
      answer.embeddings.push_back({{"index", answer.embeddings.size()}, {"embedding", at(one, "values")}});
    }
    answer.complete = true;
  }
};

}  // namespace

std::unique_ptr<Provider> make_gemini(const Config&) { return std::make_unique<Gemini>(); }

}  // namespace edgefleet::agent::llm
