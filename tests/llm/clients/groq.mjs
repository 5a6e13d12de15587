// The stand-in for Groq, used by Groq's official client.
import assert from "node:assert/strict";
import Groq from "groq-sdk";
import { check, env, fault, gather, isShape, question, seesAbort, set, shape, tokens, weather } from "./common.mjs";

const url = env.GROQ_URL;
const make = (apiKey = env.KEY) => new Groq({ apiKey, baseURL: url, maxRetries: 0 });
const groq = make();
const model = "llama-3.3-70b-versatile";
const thinker = "openai/gpt-oss-20b";
const base = { model, messages: question, temperature: 0, max_completion_tokens: 20 };
const ask = (more) => groq.chat.completions.create({ ...base, ...more });

check("chat", async () => {
  const answer = await ask();
  assert.equal(answer.choices[0].message.role, "assistant");
  assert.ok(answer.choices[0].message.content);
  tokens(answer.usage.prompt_tokens, answer.usage.completion_tokens);
  assert.ok(answer.usage.completion_time > 0 && answer.x_groq.id.startsWith("req_"));
});

check("a streamed chat has the same text; x_groq has the usage", async () => {
  const whole = await ask();
  const { all, said } = await gather(await ask({ stream: true }), (c) => c.choices[0]?.delta.content);
  assert.equal(said, whole.choices[0].message.content);
  assert.equal(all.at(-1).choices[0].finish_reason, whole.choices[0].finish_reason);
  assert.equal(all.at(-1).x_groq.usage.completion_tokens, whole.usage.completion_tokens);
  const { all: more } = await gather(await ask({ stream: true, stream_options: { include_usage: true } }), () => "");
  assert.equal(more.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
});

check("reasoning", async () => {
  const answer = await ask({ model: thinker, reasoning_effort: "low" });
  assert.ok(answer.choices[0].message.reasoning && answer.choices[0].message.content);
  assert.ok(answer.usage.completion_tokens_details.reasoning_tokens > 0);
  await assert.rejects(ask({ reasoning_effort: "low" }), Groq.BadRequestError);
});

check("tools, whole and streamed, and their results", async () => {
  const messages = [{ role: "user", content: "Use get_temperature for the attic" }];
  const tools = [weather];
  const answer = await ask({ messages, tools, max_completion_tokens: 200 });
  const [call] = answer.choices[0].message.tool_calls;
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
  assert.equal(typeof JSON.parse(call.function.arguments).room, "string");
  const { all } = await gather(await ask({ tools, tool_choice: "required", max_completion_tokens: 200, stream: true }), () => "");
  assert.equal(all.flatMap((c) => c.choices[0].delta.tool_calls ?? [])[0].function.name, "get_temperature");
  messages.push(answer.choices[0].message, { role: "tool", tool_call_id: call.id, content: "21 degrees" });
  assert.ok((await ask({ messages, tools })).choices[0].message.content);
});

check("structured output", async () => {
  const response_format = { type: "json_schema", json_schema: { name: "room", schema: shape } };
  isShape((await ask({ model: thinker, response_format, max_completion_tokens: 300 })).choices[0].message.content);
  await assert.rejects(ask({ response_format }), /does not support response format/);
  const json = { response_format: { type: "json_object" } };
  await assert.rejects(ask(json), /must contain the word 'json'/);
  const messages = [{ role: "user", content: "Answer in JSON" }];
  JSON.parse((await ask({ ...json, messages, max_completion_tokens: 200 })).choices[0].message.content);
});

check("models", async () => {
  const ids = (await groq.models.list()).data.map((one) => one.id);
  assert.deepEqual(ids, [model, thinker]);
  assert.equal((await groq.models.retrieve(thinker)).id, thinker);
});

check("rate-limit headers", async () => {
  const { response } = await groq.chat.completions.create(base).withResponse();
  assert.ok(Number(response.headers.get("x-ratelimit-remaining-requests")) > 0);
  assert.match(response.headers.get("x-ratelimit-reset-requests"), /^(\d+h)?(\d+m)?[\d.]+m?s$/);
  assert.equal(response.headers.get("retry-after"), null);
});

check("errors have the client's classes", async () => {
  await assert.rejects(make("wrong").chat.completions.create(base), (error) => {
    assert.ok(error instanceof Groq.AuthenticationError);
    assert.equal(error.error.error.code, "invalid_api_key");
    return true;
  });
  await assert.rejects(ask({ model: "no-such" }), Groq.NotFoundError);
  await assert.rejects(ask({ logprobs: true }), Groq.BadRequestError);
  await assert.rejects(ask({ logit_bias: { 5: 1 } }), Groq.BadRequestError);
  await assert.rejects(ask({ nonsense: 1 }), /property 'nonsense' is unsupported/);
  await assert.rejects(ask({ n: 2 }), Groq.BadRequestError);
  await fault(url, "status", { status: 403 });
  await assert.rejects(ask(), Groq.PermissionDeniedError);
  await fault(url, "status", { status: 503 });
  await assert.rejects(ask(), Groq.InternalServerError);
  await fault(url, "error_mid");
  await assert.rejects(gather(await ask({ stream: true }), () => ""), Groq.APIError);
});

check("429 with retry-after, which the client honours", async () => {
  await fault(url, "status", { status: 429, retry_after: 2 });
  await assert.rejects(ask(), (error) => {
    assert.ok(error instanceof Groq.RateLimitError);
    assert.equal(error.headers.get("retry-after"), "2");
    assert.equal(error.error.error.code, "rate_limit_exceeded");
    return true;
  });
  await fault(url, "status", { status: 429, retry_after: 1 });
  const began = Date.now();
  const patient = new Groq({ apiKey: env.KEY, baseURL: url, maxRetries: 1 });
  assert.ok((await patient.chat.completions.create(base)).choices[0].message.content);
  assert.ok(Date.now() - began >= 950);
});

check("the limit of requests itself", async () => {
  await set(url, { requests: 1, window_s: 1e6 });
  await assert.rejects(ask(), /Please try again in .*s\./);
  await set(url, { requests: 14400, window_s: 86400 });
});

check("abort", async () => {
  await seesAbort(url, async () => {
    const stream = await ask({ stream: true, max_completion_tokens: 1000 });
    for await (const _ of stream) stream.controller.abort();
  });
});
