// Shared by the checks. The runner (run.py) passes the addresses in the environment.
import assert from "node:assert/strict";
import { test } from "node:test";

const longest = 30000; // ms
export const check = (name, run) => test(name, { timeout: longest }, run);
export const env = process.env;
export const question = [{ role: "user", content: "Is the attic warm?" }];
export const weather = {
  type: "function",
  function: {
    name: "get_temperature",
    description: "The temperature of a room",
    parameters: { type: "object", properties: { room: { type: "string" } }, required: ["room"] },
  },
};
export const shape = {
  type: "object",
  properties: { room: { type: "string", maxLength: 12 }, warm: { type: "boolean" } },
  required: ["room", "warm"],
  additionalProperties: false,
};

export async function post(url, path, body) {
  const answer = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
  const read = await answer.json();
  assert.equal(answer.status, 200, JSON.stringify(read));
  return read;
}
export const fault = (url, kind, more = {}) => post(url, "/standin/fault", { kind, ...more });
export const set = (url, settings) => post(url, "/standin/set", settings);
export const seen = async (url) => (await fetch(url + "/standin/seen")).json();

// Waits until condition() is true.
export async function until(condition, what) {
  const end = Date.now() + 20000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `not within 20 s: ${what}`);
    await new Promise((go) => setTimeout(go, 10));
  }
}

// Makes the answers of a stand-in slow during run().
export async function slowly(url, run) {
  await set(url, { token_ms: 20, ignore_eos: true });
  try {
    await run();
  } finally {
    await set(url, { token_ms: 0, ignore_eos: false });
  }
}

// run() must abort a request that the stand-in is serving.
export async function seesAbort(url, run) {
  const before = (await seen(url)).client_aborts;
  await slowly(url, run);
  await until(async () => (await seen(url)).client_aborts > before, "the stand-in notices the abort");
  await until(async () => (await seen(url)).infer_open === 0, "no request is being served");
}

export async function gather(stream, text) {
  const all = [];
  let said = "";
  for await (const chunk of stream) {
    all.push(chunk);
    said += text(chunk) ?? "";
  }
  return { all, said };
}

export function tokens(...counts) {
  for (const count of counts) assert.ok(Number.isInteger(count) && count > 0, `a count of tokens: ${count}`);
}

export function isShape(text) {
  const read = JSON.parse(text);
  assert.equal(typeof read.room, "string");
  assert.equal(typeof read.warm, "boolean");
}
