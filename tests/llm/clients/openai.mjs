// The coordinator's OpenAI endpoint, used by OpenAI's official client; its back ends are llama-server and the stand-ins.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { check, env, fault, gather, isShape, question, seesAbort, shape, tokens, until, seen, weather } from "./common.mjs";

const make = (more = {}) => new OpenAI({ apiKey: "whatever", baseURL: env.COORDINATOR_URL + "/v1", maxRetries: 0, ...more });
const client = make();
const local = "edge-tiny"; // llama-server
const groq = "groq/llama-3.3-70b-versatile";
const everywhere = [local, "ollama/other:latest", groq, "gemini/gemini-2.5-flash"];
const base = { messages: question, temperature: 0, max_tokens: 20 };
const ask = (model, more) => client.chat.completions.create({ ...base, model, ...more });

check("models", async () => {
  const ids = [];
  for await (const one of client.models.list()) ids.push(one.id);
  for (const id of [local, "other:latest", "llama-3.3-70b-versatile", "openai/gpt-oss-20b", "gemini-2.5-flash"]) assert.ok(ids.includes(id), ids);
  assert.equal((await client.models.retrieve(local)).id, local);
  assert.equal((await client.models.retrieve("openai/gpt-oss-20b")).id, "openai/gpt-oss-20b");
  assert.equal((await client.models.retrieve("ollama/other")).id, "other:latest");
  await assert.rejects(client.models.retrieve("no-such"), OpenAI.NotFoundError);
});

for (const model of everywhere) {
  check(`chat, whole and streamed: ${model}`, async () => {
    const whole = await ask(model);
    assert.ok(whole.choices[0].message.content);
    tokens(whole.usage.prompt_tokens, whole.usage.completion_tokens);
    const stream = await ask(model, { stream: true, stream_options: { include_usage: true } });
    const { all, said } = await gather(stream, (c) => c.choices[0]?.delta.content);
    assert.equal(said, whole.choices[0].message.content);
    assert.deepEqual(all.at(-1).choices, []);
    assert.equal(all.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
    assert.equal(all.at(-2).choices[0].finish_reason, whole.choices[0].finish_reason);
  });
}

check("the stream helper assembles an answer", async () => {
  const stream = client.chat.completions.stream({ ...base, model: local });
  const final = await stream.finalChatCompletion();
  assert.ok(final.choices[0].message.content);
  assert.ok(["stop", "length"].includes(final.choices[0].finish_reason));
});

for (const model of everywhere.slice(1)) {
  check(`tools, whole and streamed, and their results: ${model}`, async () => {
    const messages = [{ role: "user", content: "Use get_temperature for the attic" }];
    const more = { messages, tools: [weather], max_tokens: 200 };
    const answer = await ask(model, more);
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.equal(typeof JSON.parse(call.function.arguments).room, "string");
    const final = await client.chat.completions.stream({ ...base, ...more, model }).finalChatCompletion();
    assert.deepEqual(final.choices[0].message.tool_calls[0].function, call.function);
    messages.push(answer.choices[0].message, { role: "tool", tool_call_id: call.id, content: "21 degrees" });
    assert.ok((await ask(model, more)).choices[0].message.content);
  });
}

check("a forced call: ollama", async () => {
  for (const tool_choice of ["required", { type: "function", function: { name: "get_temperature" } }]) {
    const more = { tools: [weather], tool_choice, max_tokens: 200 };
    const [choice] = (await ask("ollama/other:latest", more)).choices;
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(typeof JSON.parse(choice.message.tool_calls[0].function.arguments).room, "string");
    const final = await client.chat.completions.stream({ ...base, ...more, model: "ollama/other:latest" }).finalChatCompletion();
    assert.deepEqual(final.choices[0].message.tool_calls[0].function, choice.message.tool_calls[0].function);
  }
});

check("functions of older clients", async () => {
  const messages = [{ role: "user", content: "Use get_temperature for the attic" }];
  const [choice] = (await ask("ollama/other:latest", { messages, functions: [weather.function], max_tokens: 200 })).choices;
  assert.equal(choice.finish_reason, "function_call");
  const { said } = await gather(await ask("ollama/other:latest", { messages, functions: [weather.function], max_tokens: 200, stream: true }),
    (c) => c.choices[0]?.delta.function_call?.arguments);
  assert.equal(said, choice.message.function_call.arguments);
  messages.push(choice.message, { role: "function", name: "get_temperature", content: "21 degrees" });
  const answer = await ask("ollama/other:latest", { messages, functions: [weather.function] });
  assert.ok(answer.choices[0].message.content);
});

check("n answers, whole and streamed", async () => {
  const whole = await ask(local, { n: 3, temperature: 1, seed: 1 });
  assert.deepEqual(whole.choices.map((one) => one.index), [0, 1, 2]);
  const final = await client.chat.completions.stream({ ...base, model: local, n: 3 }).finalChatCompletion();
  assert.equal(final.choices.length, 3);
  for (const one of final.choices) assert.ok(one.message.content && one.finish_reason);
});

check("values that mean the same as none", async () => {
  const more = { parallel_tool_calls: true, verbosity: "medium", modalities: ["text"], prompt_cache_retention: "24h", logprobs: false };
  for (const model of everywhere) assert.ok((await ask(model, more)).choices[0].message.content);
});

check("two calls and their results: gemini", async () => {
  const call = (id, room) => ({ id, type: "function", function: { name: "get_temperature", arguments: JSON.stringify({ room }) } });
  const messages = [
    ...question,
    { role: "assistant", content: null, tool_calls: [call("a", "attic"), call("b", "cellar")] },
    { role: "tool", tool_call_id: "a", content: "21" },
    { role: "tool", tool_call_id: "b", content: "12" },
  ];
  assert.ok((await ask("gemini/gemini-2.5-flash", { messages, tools: [weather] })).choices[0].message.content);
});

for (const model of [local, "ollama/other:latest", "groq/openai/gpt-oss-20b", "gemini/gemini-2.5-flash"]) {
  check(`structured output: ${model}`, async () => {
    const response_format = { type: "json_schema", json_schema: { name: "room", strict: true, schema: shape } };
    isShape((await ask(model, { response_format, max_tokens: 300 })).choices[0].message.content);
  });
}

for (const model of ["ollama/deepseek-r1:1.5b", "groq/openai/gpt-oss-20b", "gemini/gemini-2.5-flash"]) {
  check(`reasoning, whole and streamed: ${model}`, async () => {
    const more = { reasoning_effort: "low", max_tokens: 100 };
    const { message } = (await ask(model, more)).choices[0];
    assert.ok(message.reasoning_content && message.content);
    const { said } = await gather(await ask(model, { ...more, stream: true }), (c) => c.choices[0]?.delta.reasoning_content);
    assert.equal(said, message.reasoning_content);
  });
}

check("completions", async () => {
  const body = { model: local, prompt: "The attic", max_tokens: 5, temperature: 0 };
  const whole = await client.completions.create(body);
  const { said } = await gather(await client.completions.create({ ...body, stream: true }), (c) => c.choices[0]?.text);
  assert.equal(said, whole.choices[0].text);
});

for (const model of [local, "ollama/other:latest", "gemini/gemini-embedding-001"]) {
  check(`embeddings, as base64 and as numbers: ${model}`, async () => {
    const input = ["the attic", "the cellar"];
    const packed = await client.embeddings.create({ model, input }); // by default this client requests base64
    const plain = await client.embeddings.create({ model, input, encoding_format: "float" });
    assert.equal(packed.data.length, 2);
    assert.equal(packed.data[1].index, 1);
    packed.data[1].embedding.forEach((x, n) => assert.ok(Math.abs(x - plain.data[1].embedding[n]) < 1e-6));
    assert.ok(packed.usage.prompt_tokens >= 0 && packed.usage.total_tokens >= 0);
  });
}

check("a long list of inputs", async () => {
  const input = Array.from({ length: 20 }, (_, n) => "room ".repeat(n + 1));
  const { data } = await client.embeddings.create({ model: local, input });
  assert.deepEqual(data.map((one) => one.index), Array.from({ length: 20 }, (_, n) => n));
  assert.deepEqual(data[19].embedding, (await client.embeddings.create({ model: local, input: input[19] })).data[0].embedding);
});

check("a list of prompts", async () => {
  const body = { model: local, prompt: ["The attic", "The cellar"], max_tokens: 5, temperature: 0 };
  assert.equal((await client.completions.create(body)).choices.length, 2);
  assert.equal((await client.completions.create({ ...body, prompt: ["The attic"] })).choices.length, 1);
  await assert.rejects(client.completions.create({ ...body, prompt: [1, 2] }), /`prompt`/);
});

check("errors have the client's classes", async () => {
  await assert.rejects(ask("no-such"), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.match(error.message, /edge-tiny/);
    assert.equal(error.code, "model_not_found");
    return true;
  });
  await assert.rejects(ask(local, { n: 9 }), OpenAI.BadRequestError);
  await assert.rejects(ask(groq, { logprobs: true, stream: true }), OpenAI.BadRequestError);
  await assert.rejects(ask("no-such", { stream: true }), OpenAI.NotFoundError);
  await assert.rejects(ask(groq, { logprobs: true }), /logprobs.*groq/);
  await assert.rejects(ask(local, { messages: [{ role: "user", content: "word ".repeat(3000) }] }), (error) => {
    assert.equal(error.code, "context_length_exceeded");
    return error instanceof OpenAI.BadRequestError;
  });
  await assert.rejects(client.responses.create({ model: local, input: "x" }), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError, `${error}`);
    assert.match(error.message, /\/v1\/responses/);
    return true;
  });
  await assert.rejects(client.chat.completions.create({ messages: question }), OpenAI.BadRequestError);
});

check("an error in the middle of an answer ends the stream with an error", async () => {
  await fault(env.GROQ_URL, "error_mid", { times: -1 });
  try {
    await assert.rejects(gather(await ask(groq, { stream: true }), () => ""), OpenAI.APIError);
    await assert.rejects(ask(groq), OpenAI.InternalServerError);
  } finally {
    await fault(env.GROQ_URL, "none");
  }
});

check("a single failure is invisible to the client", async () => {
  await fault(env.GROQ_URL, "cut_mid", { after: 0 });
  const before = (await seen(env.GROQ_URL)).infer;
  assert.ok((await ask(groq)).choices[0].message.content);
  assert.equal((await seen(env.GROQ_URL)).infer, before + 2);
});

check("abort", async () => {
  await seesAbort(env.GROQ_URL, async () => {
    const stream = await ask(groq, { stream: true, max_tokens: 1000 });
    for await (const _ of stream) stream.controller.abort();
  });
});

check("a client's own timeout", async () => {
  const before = (await seen(env.GROQ_URL)).client_aborts;
  await fault(env.GROQ_URL, "hang_before");
  await assert.rejects(make({ timeout: 500 }).chat.completions.create({ ...base, model: groq }), OpenAI.APIConnectionTimeoutError);
  await until(async () => (await seen(env.GROQ_URL)).client_aborts > before, "the request to the back end has ended");
});

check("many at once", async () => {
  const answers = await Promise.all(Array.from({ length: 16 }, () => ask(local)));
  assert.equal(new Set(answers.map((one) => one.choices[0].message.content)).size, 1);
  assert.equal(new Set(answers.map((one) => one.id)).size, 16);
});
