#include "edge-agent/executors/llm/refusal.hpp"

#include "edge-agent/executors/llm/budget.hpp"
#include "tests/support/catch.hpp"

using namespace edgefleet;
using namespace edgefleet::agent::llm;
using namespace std::chrono_literals;

TEST_CASE("a refusal is parsed in every format in use") {
  struct Case {
    int status;
    const char* body;
    const char* code;
    bool retryable;
  };
  const std::vector<Case> cases = {
      {400, R"({"error":{"code":400,"message":"bad role","type":"invalid_request_error"}})", "invalid_input", false},
      {400, R"({"error":{"code":400,"type":"exceed_context_size_error","message":"too many"}})", "context_too_long",
       false},
      {400, R"({"error":{"message":"This model's maximum context length is 4096 tokens"}})", "context_too_long", false},
      {400, R"({"error":{"status":"INVALID_ARGUMENT","message":"API key not valid."}})", "unauthorized", true},
      {400, R"({"error":{"message":"1 validation error: 'what is an API key?' is no list"}})", "invalid_input", false},
      {401, R"({"error":{"message":"Invalid API Key","code":"invalid_api_key"}})", "unauthorized", true},
      {404, R"({"error":"model 'x' not found, try pulling it first"})", "model_not_found", true},
      {429, R"({"error":{"code":"rate_limit_exceeded","message":"Please try again in 5.289s."}})", "rate_limited",
       true},
      {498, "", "rate_limited", true},
      {500, R"([{"error":{"message":"x"}}])", "backend_error", true},
      {501, R"({"error":{"type":"not_supported_error"}})", "invalid_input", false},
      {503, R"({"error":{"code":503,"message":"Loading model"}})", "backend_unavailable", true},
      {599, "<html>", "backend_error", true},
  };
  for (const Case& one : cases) {
    INFO(one.status << " " << one.body);
    const TaskError error = refusal_of(one.status, one.body, {});
    CHECK(error.code == one.code);
    CHECK(error.retryable == one.retryable);
    CHECK(error.message.find(std::to_string(one.status)) != std::string::npos);
  }
}

TEST_CASE("a model that lacks an ability does not support the request, which is not tried again") {
  const auto code_of = [](int status, const char* message) {
    return refusal_of(status, R"({"error":")" + std::string(message) + R"("})", {}).code;
  };
  CHECK(code_of(500, "image input is not supported - hint: you may need to provide the mmproj") == "not_supported");
  CHECK(code_of(500, "this model is missing data required for image input") == "not_supported");
  CHECK(code_of(400, "Qwen3 is not a multimodal model") == "not_supported");
  CHECK(code_of(400, "registry.ollama.ai/library/x:1b does not support tools") == "not_supported");
  CHECK(code_of(501, "This server does not support embeddings") == "not_supported");
  CHECK(code_of(500, "the GPU does not support bf16") == "backend_error");
  CHECK(code_of(429, "image input: slow down") == "rate_limited");
  CHECK_FALSE(refusal_of(500, R"({"error":"image input is not supported"})", {}).retryable);
}

TEST_CASE("the time to wait is found in the header, the details and the text") {
  CHECK(refusal_of(429, "{}", 7s).retry_after == 7s);
  CHECK(refusal_of(429, R"({"error":{"message":"x","details":[{"retryDelay":"46s"}]}})", {}).retry_after == 46s);
  CHECK(refusal_of(429, R"({"error":{"message":"Please try again in 5.5s. Visit"}})", {}).retry_after == 5500ms);
  CHECK_FALSE(refusal_of(400, R"({"error":{"message":"try again in 5s"}})", {}).retry_after);
}

TEST_CASE("the durations of providers are parsed") {
  CHECK(read_duration("2m59.56s") == 179560ms);
  CHECK(read_duration("1h2m") == 62min);
  CHECK(read_duration("250ms") == 250ms);
  for (const char* bad : {"", "s", "5", "5x", "-3s", "nan", "infs", "5s5"}) CHECK_FALSE(read_duration(bad));
}

TEST_CASE("an error within a stream under status 200 is an error, in every shape, and its message is told") {
  struct Case {
    const char* piece;
    const char* code;
    bool retryable;
    const char* message;
  };
  const std::vector<Case> cases = {
      {R"({"error":"out of memory"})", "backend_error", true, "out of memory"},
      {R"({"error":{"code":400,"message":"context exceeded"}})", "context_too_long", false, "context exceeded"},
      {R"([{"error":{"status":"RESOURCE_EXHAUSTED","message":"quota"}}])", "rate_limited", true, "quota"},
      {R"({"object":"error","message":"no such field","type":"BadRequestError","param":null,"code":400})",
       "invalid_input", false, "no such field"},
      {R"({"object":"error","message":"the model `x` does not exist","type":"NotFoundError"})", "model_not_found", true,
       "does not exist"},
      {R"({"error":{"message":"bad","type":"invalid_request_error","code":null}})", "invalid_input", false, "bad"},
      {R"({"error":{"message":"bad","code":"400"}})", "invalid_input", false, "bad"},
      {R"({"text":"too long","error_code":40303})", "invalid_input", false, "too long"},
      {R"({"text":"bad value","error_code":40001})", "invalid_input", false, "bad value"},
      {R"({"detail":"Model is loading"})", "backend_error", true, "Model is loading"},
      {R"({"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required","type":"missing"}]})", "invalid_input",
       false, "body.messages.0.role: Field required"},
      {R"({"detail":{"error":"no GPU","code":503}})", "backend_unavailable", true, "no GPU"},
      {R"({"message":"Internal Server Error"})", "backend_error", true, "Internal Server Error"},
      {R"({"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}})", "backend_unavailable", true,
       "Overloaded"},
      {R"({"error":{"reason":"of another shape"}})", "backend_error", true, "of another shape"},
      {R"({"error":true,"why":"of no known shape"})", "backend_error", true, "of no known shape"},
      {R"({"code":400,"msg":"bad"})", "invalid_input", false, "400: bad"},
      {R"({"status":"422","title":"Unprocessable"})", "invalid_input", false, "Unprocessable"},
      {R"({"error":"Bad Request","statusCode":400})", "invalid_input", false, "Bad Request"},
      {R"({"type":"error","error":{"type":"bad_request_error","message":"bad","http_code":"400"}})", "invalid_input",
       false, "400: bad"},
      {R"({"error":"bad","type":"invalid_request_error"})", "invalid_input", false, "400: bad"},
      {R"({"error":{"message":"bad"},"type":"InvalidRequestError"})", "invalid_input", false, "400: bad"},
      {R"({"error":{"message":"bad","code":"unsupported_value"}})", "invalid_input", false, "400: bad"},
      {R"({"error":{"message":"bad","type":"UnprocessableEntityError"}})", "invalid_input", false, "422: bad"},
      {R"({"error":{"message":"no","type":"not_supported_error"}})", "invalid_input", false, "501: no"},
      {R"({"error":[{"message":"bad","code":400}]})", "invalid_input", false, "400: bad"},
      {R"({"errors":[{"message":"bad","code":400}]})", "invalid_input", false, "400: bad"},
      {R"({"errors":{"message":"bad","code":400}})", "invalid_input", false, "400: bad"},
      {R"({"errors":{"message":"slow down","code":429}})", "rate_limited", true, "slow down"},
      {R"({"errors":"bad"})", "backend_error", true, "500: bad"},
      {R"({"errors":"{\"message\":\"bad\",\"code\":400}"})", "invalid_input", false, "400: bad"},
      {R"({"code":400,"choices":[],"message":"bad"})", "invalid_input", false, "400: bad"},
      {R"({"code":"429","choices":[],"candidates":null,"data":{},"response":""})", "rate_limited", true, "429"},
      {R"({"message":"","detail":"bad"})", "backend_error", true, "bad"},
      {R"({"errors":["bad"],"choices":[]})", "backend_error", true, "bad"},
      {R"({"error":{"code":0,"message":""}})", "backend_error", true, "code"},
      {R"({"error":{}})", "backend_error", true, "{}"},
      {R"({"error":{"code":0,"message":"bad"},"choices":[]})", "backend_error", true, "bad"},
      {R"({"error":{"code":400,"message":""},"choices":[]})", "invalid_input", false, "400"},
      {R"({"detail":{"error":{"message":"bad","code":400}}})", "invalid_input", false, "400: bad"},
      {R"({"error":{"code":500,"message":"{\"error\":{\"message\":\"bad\",\"code\":400}}"}})", "invalid_input", false,
       "400: bad"},
      {R"({"error":"{\"detail\":[{\"loc\":[\"n\"],\"msg\":\"must be 1\"}]}"})", "invalid_input", false, "422: n: must"},
      {R"({"error":{"message":"gone","code":410}})", "backend_error", false, "gone"},
      {R"({"error":{"message":"busy","code":409}})", "backend_error", true, "busy"},
      {R"({"error":{"message":"early","code":425}})", "backend_unavailable", true, "early"},
      {R"({"error":{"message":"slow","code":408}})", "backend_unavailable", true, "slow"},
      {R"({"error":{"message":"lost","code":"bad_response_status_code"}})", "backend_error", true, "lost"},
      {R"({"error":{"message":"lost","type":"bad_gateway"}})", "backend_error", true, "lost"},
      {R"({"error":{"error":{"error":{"error":{"error":{"code":400}}}}}})", "backend_error", true, "400"},
      {R"({"error":{"message":"huge","code":123456789012345678901234567890}})", "backend_error", true, "huge"},
  };
  for (const Case& one : cases) {
    INFO(one.piece);
    const auto error = error_in(one.piece);
    REQUIRE(error);
    CHECK(error->code == one.code);
    CHECK(error->retryable == one.retryable);
    CHECK(error->message.find(one.message) != std::string::npos);
  }
  for (const char* answer :
       {R"({"error":null,"choices":[]})", R"({"error":"","message":{"content":"x"}})", "5", "[]",
        R"({"error":false,"response":"x"})", R"({"choices":[{"message":{"content":"detail"}}]})",
        R"({"message":"note","choices":[{"delta":{"content":"x"}}]})",
        R"({"code":400,"choices":[{"delta":{"content":"x"}}]})", R"({"code":200,"msg":"ok"})", R"({"errors":[]})",
        R"({"errors":{}})", R"({"type":"ping"})", R"({"error":{},"choices":[]})", R"({"error":[],"choices":[{}]})",
        R"({"error":{},"message":{"content":"x"}})",
        R"({"error":{"code":0,"message":"","param":null,"details":[{}]},"candidates":[{}]})",
        R"({"code":0,"message":""})", R"({"errors":"bad","choices":[{"delta":{"content":"x"}}]})"}) {
    INFO(answer);
    CHECK_FALSE(error_in(answer));
  }
}

TEST_CASE("what a back end itself calls an error is one, in any shape") {
  CHECK(error_event("out of memory").message.find("out of memory") != std::string::npos);
  CHECK(error_event(R"({"code":400,"message":"bad","type":"invalid_request_error"})").code == "invalid_input");
  CHECK(error_event(R"({"unknown":"shape"})").message.find("shape") != std::string::npos);
}

TEST_CASE("the message of a refusal reaches the user, in every shape") {
  CHECK(refusal_of(422, R"({"detail":[{"loc":["body","n"],"msg":"must be 1","type":"x"}]})", {})
            .message.ends_with("422: body.n: must be 1"));
  CHECK(refusal_of(400, R"({"detail":"no such model"})", {}).message.ends_with("400: no such model"));
  CHECK(refusal_of(400, R"({"detail":["one",2]})", {}).message.ends_with("400: one; 2"));
  CHECK(refusal_of(400, R"({"errors":["one","two"]})", {}).message.ends_with(R"(400: {"errors":["one","two"]})"));
}

TEST_CASE("used-up limits are read from the headers") {
  http::Response response;
  response.headers = {{"x-ratelimit-remaining-requests", "0"},
                      {"x-ratelimit-reset-requests", "2m"},
                      {"x-ratelimit-remaining-tokens", "5"},
                      {"x-ratelimit-reset-tokens", "9h"}};
  CHECK(exhausted_for(response) == 2min);
  response.headers.erase("x-ratelimit-remaining-requests");
  CHECK_FALSE(exhausted_for(response));
}

TEST_CASE("a budget is used up, is stored as text, and is reset when its time is over") {
  const Budget budget{2, 3, 100};
  Spent spent;
  WallTime now{1'000'000'000};
  const auto ask = [&] {
    const auto over = exhausted(budget, spent, now);
    if (!over) count_request(spent);
    return over;
  };
  CHECK_FALSE(ask());
  CHECK_FALSE(ask());
  REQUIRE(ask());  // two per minute
  CHECK(ask()->wait == 60s);
  now.unix_ms += 60'000;
  CHECK_FALSE(ask());
  now.unix_ms += 60'000;
  spent = read_spent(write_spent(spent));
  REQUIRE(ask());  // three per day
  CHECK(ask()->what == "3 requests a day");
  now.unix_ms -= 3'600'000;  // a clock that goes back resets nothing
  CHECK(ask());
  now.unix_ms += 25 * 3'600'000;
  CHECK_FALSE(ask());
  count_tokens(spent, 100);
  CHECK(ask()->what == "100 tokens a day");
  CHECK_FALSE(exhausted(Budget{}, spent, now));
  CHECK(read_spent("rubbish").requests == 0);
}
