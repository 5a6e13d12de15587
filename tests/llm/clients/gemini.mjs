// The stand-in for Gemini, used by Gemini's official client.
import assert from "node:assert/strict";
import { ApiError, FunctionCallingConfigMode, GoogleGenAI, Type } from "@google/genai";
import { check, env, fault, gather, isShape, seesAbort, set, shape, tokens } from "./common.mjs";

const url = env.GEMINI_URL;
const make = (apiKey = env.KEY) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: url } });
const ai = make();
const model = "gemini-2.5-flash";
const contents = "Is the attic warm?";
const config = { temperature: 0, maxOutputTokens: 20, thinkingConfig: { thinkingBudget: 0 } };
const ask = (more = {}, settings = {}) => ai.models.generateContent({ model, contents, ...more, config: { ...config, ...settings } });
const fails = (promise, status, words) =>
  assert.rejects(promise, (error) => {
    assert.ok(error instanceof ApiError, `${error}`);
    assert.equal(error.status, status);
    assert.match(error.message, words);
    return true;
  });

const get_temperature = {
  name: "get_temperature",
  description: "The temperature of a room",
  parameters: { type: Type.OBJECT, properties: { room: { type: Type.STRING } }, required: ["room"] },
};

check("generateContent", async () => {
  const answer = await ask({}, { systemInstruction: "You are brief." });
  assert.ok(answer.text.length > 0);
  assert.ok(["STOP", "MAX_TOKENS"].includes(answer.candidates[0].finishReason));
  const usage = answer.usageMetadata;
  tokens(usage.promptTokenCount, usage.candidatesTokenCount);
  assert.equal(usage.totalTokenCount, usage.promptTokenCount + usage.candidatesTokenCount);
  assert.equal(answer.modelVersion, model);
});

check("a streamed answer has the same text", async () => {
  const whole = await ask();
  const { all, said } = await gather(await ai.models.generateContentStream({ model, contents, config }), (c) => c.text);
  assert.ok(all.length > 3);
  assert.equal(said, whole.text);
  assert.equal(all.at(-1).candidates[0].finishReason, whole.candidates[0].finishReason);
  assert.equal(all.at(-1).usageMetadata.totalTokenCount, whole.usageMetadata.totalTokenCount);
});

check("thoughts", async () => {
  const answer = await ask({}, { thinkingConfig: { includeThoughts: true } });
  assert.ok(answer.candidates[0].content.parts.some((part) => part.thought && part.text));
  assert.ok(answer.text.length > 0);
  assert.ok(answer.usageMetadata.thoughtsTokenCount > 0);
  const hidden = await ask({}, { thinkingConfig: undefined });
  assert.ok(hidden.candidates[0].content.parts.every((part) => !part.thought));
  await fails(ask({ model: "gemini-2.0-flash" }, { thinkingConfig: { thinkingBudget: 100 } }), 400, /INVALID_ARGUMENT/);
});

check("a chat of several turns", async () => {
  const chat = ai.chats.create({ model, config });
  const first = await chat.sendMessage({ message: "Is the attic warm?" });
  const second = await chat.sendMessage({ message: "And the cellar?" });
  assert.ok(first.text && second.text);
  assert.ok(second.usageMetadata.promptTokenCount > first.usageMetadata.promptTokenCount);
});

check("functions and their results", async () => {
  const tools = [{ functionDeclarations: [get_temperature] }];
  const toolConfig = { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } };
  const answer = await ask({}, { tools, toolConfig, maxOutputTokens: 200 });
  const [call] = answer.functionCalls;
  assert.equal(call.name, "get_temperature");
  assert.equal(typeof call.args.room, "string");
  const turns = [
    { role: "user", parts: [{ text: contents }] },
    answer.candidates[0].content,
    { role: "user", parts: [{ functionResponse: { name: call.name, response: { celsius: 21 } } }] },
  ];
  const last = await ask({ contents: turns }, { tools });
  assert.ok(last.text.length > 0);
  await fails(ask({ contents: turns.slice(0, 2).concat(turns.slice(0, 1)) }, { tools }), 400, /number of function response parts/);
});

check("structured output", async () => {
  const settings = { responseMimeType: "application/json", maxOutputTokens: 300 };
  isShape((await ask({}, { ...settings, responseJsonSchema: shape })).text);
  const responseSchema = {
    type: Type.OBJECT,
    properties: { room: { type: Type.STRING }, warm: { type: Type.BOOLEAN } },
    required: ["room", "warm"],
  };
  isShape((await ask({}, { ...settings, responseSchema })).text);
});

check("embeddings", async () => {
  const made = await ai.models.embedContent({ model: "gemini-embedding-001", contents: ["the attic", "the cellar"] });
  assert.equal(made.embeddings.length, 2);
  assert.notDeepEqual(made.embeddings[0].values, made.embeddings[1].values);
  const short = await ai.models.embedContent({ model: "gemini-embedding-001", contents: "x", config: { outputDimensionality: 16 } });
  assert.equal(short.embeddings[0].values.length, 16);
});

check("models and counts", async () => {
  const pager = await ai.models.list({ config: { pageSize: 1 } });
  const names = [];
  for await (const one of pager) names.push(one.name);
  assert.deepEqual(names, ["models/gemini-2.5-flash", "models/gemini-2.0-flash", "models/gemini-embedding-001"]);
  assert.equal((await ai.models.get({ model })).name, "models/gemini-2.5-flash");
  tokens((await ai.models.countTokens({ model, contents })).totalTokens);
});

check("errors", async () => {
  await fails(make("wrong").models.generateContent({ model, contents }), 400, /API_KEY_INVALID/);
  await fails(ask({ model: "no-such" }), 404, /NOT_FOUND/);
  await fails(ask({}, { stopSequences: ["a", "b", "c", "d", "e", "f"] }), 400, /stop sequences/);
  await fails(ask({ contents: [{ role: "nobody", parts: [{ text: "x" }] }] }), 400, /valid role/);
  await fault(url, "status", { status: 403 });
  await fails(ask(), 403, /PERMISSION_DENIED/);
  await fault(url, "status", { status: 503 });
  await fails(ask(), 503, /UNAVAILABLE/);
  await fault(url, "error_mid", { status: 503, message: "The model is overloaded. Please try again later." });
  await assert.rejects(gather(await ai.models.generateContentStream({ model, contents, config }), () => ""), /overloaded/);
});

check("429 with RetryInfo", async () => {
  await fault(url, "status", { status: 429, retry_after: 46 });
  await fails(ask(), 429, /RESOURCE_EXHAUSTED.*"retryDelay":\s?"46s"/s);
  await set(url, { requests: 1, window_s: 1e6 });
  await fails(ask(), 429, /Please retry in/);
  await set(url, { requests: 14400, window_s: 86400 });
});

check("abort", async () => {
  await seesAbort(url, async () => {
    const stop = new AbortController();
    const settings = { ...config, maxOutputTokens: 1000, abortSignal: stop.signal };
    const stream = await ai.models.generateContentStream({ model, contents, config: settings });
    await assert.rejects(async () => {
      for await (const _ of stream) stop.abort();
    }, /abort/i);
  });
});
