// The stand-in for Ollama, used by Ollama's official client.
import assert from "node:assert/strict";
import { Ollama } from "ollama";
import { check, env, fault, gather, isShape, question, seen, seesAbort, set, shape, tokens, weather } from "./common.mjs";

const url = env.OLLAMA_URL;
const ollama = new Ollama({ host: url });
const model = "edge-tiny";
const options = { temperature: 0, num_predict: 20, num_ctx: 512 };
const fails = (promise, status, words) =>
  assert.rejects(promise, (error) => {
    assert.equal(error.name, "ResponseError");
    assert.equal(error.status_code, status);
    assert.match(error.message, words);
    return true;
  });

check("chat", async () => {
  const answer = await ollama.chat({ model, messages: question, options });
  assert.equal(answer.done, true);
  assert.equal(answer.message.role, "assistant");
  assert.ok(answer.message.content.length > 0);
  tokens(answer.prompt_eval_count, answer.eval_count, answer.total_duration, answer.eval_duration);
});

check("a streamed chat has the same text", async () => {
  const whole = await ollama.chat({ model, messages: question, options });
  const { all, said } = await gather(await ollama.chat({ model, messages: question, options, stream: true }), (c) => c.message.content);
  assert.ok(all.length > 3);
  assert.equal(said, whole.message.content);
  assert.equal(all.at(-1).done, true);
  assert.equal(all.at(-1).eval_count, whole.eval_count);
});

check("generate, whole and streamed", async () => {
  const whole = await ollama.generate({ model, prompt: "The attic", options });
  const { said } = await gather(await ollama.generate({ model, prompt: "The attic", options, stream: true }), (c) => c.response);
  assert.equal(said, whole.response);
});

check("load and unload", async () => {
  assert.equal((await ollama.generate({ model, prompt: "", options: { num_ctx: 512 } })).done_reason, "load");
  const [loaded] = (await ollama.ps()).models.filter((one) => one.name === "edge-tiny:latest");
  assert.ok(loaded);
  assert.ok(new Date(loaded.expires_at) > new Date());
  assert.equal((await ollama.generate({ model, prompt: "", keep_alive: 0 })).done_reason, "unload");
  assert.deepEqual((await ollama.ps()).models.filter((one) => one.name === "edge-tiny:latest"), []);
});

check("thinking", async () => {
  const messages = question;
  const answer = await ollama.chat({ model: "deepseek-r1:1.5b", messages, think: true, options });
  assert.ok(answer.message.thinking && answer.message.content);
  const without = await ollama.chat({ model: "deepseek-r1:1.5b", messages, think: false, options });
  assert.equal(without.message.thinking, undefined);
  await fails(ollama.chat({ model, messages, think: true }), 400, /does not support thinking/);
});

check("tools and their results", async () => {
  const messages = [{ role: "user", content: "Use get_temperature for the attic" }];
  const answer = await ollama.chat({ model, messages, tools: [weather], options: { num_ctx: 512 } });
  const [call] = answer.message.tool_calls;
  assert.equal(call.function.name, "get_temperature");
  assert.equal(typeof call.function.arguments.room, "string");
  messages.push(answer.message, { role: "tool", tool_name: "get_temperature", content: "21 degrees" });
  const last = await ollama.chat({ model, messages, tools: [weather], options });
  assert.ok(last.message.content.length > 0);
  assert.equal(last.message.tool_calls, undefined);
});

check("structured output", async () => {
  isShape((await ollama.chat({ model, messages: question, format: shape, options: { num_ctx: 512 } })).message.content);
  const any = await ollama.chat({ model, messages: question, format: "json", options: { num_ctx: 512 } });
  assert.equal(typeof JSON.parse(any.message.content), "object");
});

check("embeddings", async () => {
  const made = await ollama.embed({ model, input: ["the attic", "the cellar"] });
  assert.equal(made.embeddings.length, 2);
  assert.notDeepEqual(made.embeddings[0], made.embeddings[1]);
  tokens(made.prompt_eval_count);
  assert.equal((await ollama.embed({ model, input: "x", dimensions: 16 })).embeddings[0].length, 16);
});

check("the silent cut at num_ctx", async () => {
  const messages = [{ role: "user", content: "word ".repeat(200) }];
  const cut = await ollama.chat({ model, messages, options: { num_ctx: 64, num_predict: 2 } });
  assert.equal(cut.prompt_eval_count, 64);
  const turns = Array.from({ length: 12 }, (_, n) => ({ role: n % 2 ? "assistant" : "user", content: "The attic is warm. " + n }));
  turns.push(...question);
  const shortened = await ollama.chat({ model, messages: turns, options: { num_ctx: 100, num_predict: 2 } });
  assert.ok(shortened.prompt_eval_count <= 100); // whole messages are dropped
  await fails(ollama.chat({ model, messages, truncate: false, options: { num_ctx: 64 } }), 400, /exceeds the context length/);
});

check("list, show, version", async () => {
  const names = (await ollama.list()).models.map((one) => one.name);
  assert.ok(names.includes("edge-tiny:latest"));
  const shown = await ollama.show({ model });
  assert.ok(shown.capabilities.includes("completion"));
  assert.ok(shown.model_info["llama.context_length"] > 0);
  assert.match((await ollama.version()).version, /^\d+\.\d+/);
});

check("pull with progress, and remove", async () => {
  const { all } = await gather(await ollama.pull({ model: "deepseek-coder:1.3b", stream: true }), () => "");
  assert.equal(all[0].status, "pulling manifest");
  assert.equal(all.at(-1).status, "success");
  const layer = all.filter((one) => one.total > 700e6);
  assert.equal(layer.at(-1).completed, layer.at(-1).total);
  await ollama.delete({ model: "deepseek-coder:1.3b" });
  await fails(ollama.delete({ model: "deepseek-coder:1.3b" }), 404, /not found/);
  await assert.rejects(gather(await ollama.pull({ model: "no-such", stream: true }), () => ""), /file does not exist/);
});

check("an interrupted pull continues later", async () => {
  await set(url, { pull_hold: 0.5 });
  const pull = await ollama.pull({ model: "deepseek-coder:1.3b", stream: true });
  let half = 0;
  await assert.rejects(async () => {
    for await (const one of pull) {
      half = one.completed ?? half;
      if (half > 300e6) pull.abort();
    }
  }, /abort/i);
  await set(url, { pull_hold: null });
  const { all } = await gather(await ollama.pull({ model: "deepseek-coder:1.3b", stream: true }), () => "");
  const first = all.find((one) => one.total > 700e6);
  assert.equal(first.completed, half);
  await ollama.delete({ model: "deepseek-coder:1.3b" });
});

check("errors", async () => {
  await fails(ollama.chat({ model: "no-such", messages: question }), 404, /model 'no-such' not found/);
  await fault(url, "status", { status: 401 });
  await fails(ollama.chat({ model, messages: question }), 401, /unauthorized/);
  await fault(url, "status", { status: 429 });
  await fails(ollama.chat({ model, messages: question }), 429, /too many/);
  await fault(url, "status", { status: 503 });
  await fails(ollama.chat({ model, messages: question }), 503, /server busy/);
  await fault(url, "error_mid", { message: "the runner broke" });
  await assert.rejects(gather(await ollama.chat({ model, messages: question, options, stream: true }), () => ""), /the runner broke/);
});

check("abort", async () => {
  await seesAbort(url, async () => {
    const stream = await ollama.chat({ model, messages: question, stream: true });
    await assert.rejects(async () => {
      for await (const _ of stream) stream.abort();
    }, /abort/i);
  });
  assert.equal((await seen(url)).infer_open, 0);
});
