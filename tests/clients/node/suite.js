// What every client's cases in JavaScript share: where the service is, how a case runs and is reported, and what the
// simulator has on record. The same as suite.py, and as strict.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { crc32, deflateSync } from "node:zlib";

const here = (name) => new URL(name, import.meta.url);
export const CASES = JSON.parse(readFileSync(here("cases.json"), "utf8"));
export const BASE_URL = process.env.CLIENTS_BASE_URL;
export const API_KEY = process.env.CLIENTS_API_KEY;
export const MODEL = process.env.CLIENTS_MODEL;
export const UNKNOWN_MODEL = "no-such-model";
const CASE_MS = 60_000;
const RECORD_MS = 10_000;

/** The client has nothing for this case, as its run has shown; says why. */
export class NotOffered extends Error {}

/** The cases of one client, reported as one JSON line each. */
export class Suite {
  constructor(client, packageName) {
    this.client = client;
    this.version = JSON.parse(readFileSync(here(`node_modules/${packageName}/package.json`), "utf8")).version;
  }

  /** What all prompts of a case of this client have in them. */
  mark(name) {
    return `(${this.client}, ${name})`;
  }

  /** The prompt that the simulator knows (that of `like`, if given), with a mark to find its calls by. */
  prompt(name, { like = name, more = [] } = {}) {
    return [CASES[like].prompt, ...more, this.mark(name)].join(" ");
  }

  /** Run all cases, by their names, one after the other. */
  async run(cases) {
    for (const [name, action] of Object.entries(cases)) {
      const told = await outcomeOf(action);
      console.log(JSON.stringify({ client: this.client, version: this.version, case: name, ...told }));
    }
  }
}

async function outcomeOf(action) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${CASE_MS} ms`)), CASE_MS);
  });
  try {
    return { outcome: "ok", detail: String((await Promise.race([action(), late])) ?? "") };
  } catch (error) {
    if (error instanceof NotOffered) return { outcome: "not offered", detail: error.message };
    return { outcome: "failed", detail: described(error) };
  } finally {
    clearTimeout(timer);
  }
}

function described(error) {
  const lines = String(error?.stack ?? error).split("\n");
  const own = lines.find((line) => /\.js:\d+/.test(line) && !/node_modules|suite\.js|node:/.test(line));
  const place = own?.match(/\w+\.js:\d+/)?.[0] ?? "?";
  return `${place}: ${error?.name}: ${error?.message}`.slice(0, 1500);
}

/** Hold one value against another. */
export function same(found, wanted) {
  assert.deepEqual(found, wanted);
}

/** Put a streamed answer together, which must have come in more than one piece. */
export function joined(pieces) {
  const found = pieces.filter(Boolean);
  assert.ok(found.length > 1, `not streamed: ${JSON.stringify(found)}`);
  return found.join("");
}

/** The upstream calls whose conversation has this mark in it, oldest first. */
export async function calls(mark) {
  const response = await fetch(`${process.env.CLIENTS_SIMULATOR_URL}/_simulator/calls`);
  const record = await response.json();
  return record.calls.filter((call) => JSON.stringify(call.body).includes(mark));
}

/** Hold a client's count against the simulator's. */
export async function sameUsage(mark, tokensIn, tokensOut, total) {
  const used = (await calls(mark)).map((call) => call.usage);
  assert.ok(used.length, `no call on record with ${mark}`);
  const kinds = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
  const sum = (values) => values.reduce((so_far, value) => so_far + value, 0);
  same(
    [tokensIn, tokensOut],
    [sum(used.flatMap((usage) => kinds.map((kind) => usage[kind] ?? 0))), sum(used.map((usage) => usage.output_tokens))],
  );
  same(total, tokensIn + tokensOut);
  return `${tokensIn} + ${tokensOut} = ${total} tokens`;
}

/** Look for the team's answer, and for nothing else of the assistant's, in what was asked at last. */
export async function wentOn(mark) {
  const { messages } = (await calls(mark)).at(-1).body;
  same(messages.map((message) => message.role), ["user", "assistant", "user"]);
  const { content } = messages[1];
  same(typeof content === "string" ? content : content.map((block) => block.text).join(""), CASES.progress.answer);
  return "the answer arrived upstream as it was";
}

/** Wait until the simulator has seen that whoever called it in this role has left. */
export async function endedEarly(mark, role = "lead") {
  const deadline = performance.now() + RECORD_MS;
  for (;;) {
    const found = (await calls(mark)).filter((call) => call.headers["x-orchestrator-role"] === role);
    const outcomes = found.map((call) => call.outcome);
    if (outcomes.length && !outcomes.includes("in_flight")) {
      same([...new Set(outcomes)], ["client_left"]);
      return `upstream calls that ended with the stream: ${outcomes.length}`;
    }
    assert.ok(performance.now() < deadline, `still running upstream: ${outcomes}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Wait until so many calls in this role are in flight. */
export async function underWay(mark, role, count) {
  const deadline = performance.now() + RECORD_MS;
  for (;;) {
    const inFlight = (await calls(mark)).filter((call) => call.outcome === "in_flight");
    if (inFlight.filter((call) => call.headers["x-orchestrator-role"] === role).length === count) return;
    assert.ok(performance.now() < deadline, `only ${inFlight.length} in flight`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** How many upstream calls with this mark were in flight together at most. */
export async function met(mark) {
  const steps = (await calls(mark)).flatMap((call) => [[call.arrived_at, 1], [call.ended_at, -1]]);
  let now = 0;
  const peak = Math.max(...steps.sort((one, other) => one[0] - other[0]).map(([, step]) => (now += step)));
  assert.ok(peak > CASES.parallel.count / 2, `only ${peak} at the same time`);
  return `${peak} at the same time`;
}

/** What each of the parallel requests says after the prompt, and its answer. */
export function numbered() {
  const { count, answer } = CASES.parallel;
  const numbers = Array.from({ length: count }, (_, number) => String(number).padStart(3, "0"));
  return numbers.map((number) => [number, `${answer} ${number}.`]);
}

/** A picture: 4 by 4 pixels of red. */
export function png() {
  const chunk = (kind, data) => {
    const body = Buffer.concat([Buffer.from(kind), data]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(data.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.from([0, 0, 0, 4, 0, 0, 0, 4, 8, 2, 0, 0, 0]);
  const row = Buffer.from([0, ...Array(4).fill([255, 0, 0]).flat()]);
  const rows = deflateSync(Buffer.concat(Array(4).fill(row)));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", rows), chunk("IEND", Buffer.alloc(0))]);
}

/** A PDF of one empty page. */
export function pdf() {
  const objects = [
    "<</Type/Catalog/Pages 2 0 R>>",
    "<</Type/Pages/Kids[3 0 R]/Count 1>>",
    "<</Type/Page/Parent 2 0 R/MediaBox[0 0 72 72]>>",
  ];
  const numbered = objects.map((told, i) => `${i + 1} 0 obj${told}endobj\n`);
  return Buffer.from(`%PDF-1.4\n${numbered.join("")}trailer<</Root 1 0 R>>\n%%EOF\n`);
}

/** Look for the picture in what Claude was asked. */
export async function imageArrived(mark) {
  const found = await calls(mark);
  same(found.length, 1);
  const blocks = found[0].body.messages.flatMap((message) => (Array.isArray(message.content) ? message.content : []));
  const sources = blocks.filter((block) => block.type === "image").map((block) => block.source);
  same(sources, [{ type: "base64", media_type: "image/png", data: png().toString("base64") }]);
  return `${png().length} bytes arrived upstream`;
}

/** The error that this ends in, which must be of this very class or one below it. */
export async function raised(kind, action) {
  let found;
  try {
    found = await action();
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  throw new Error(`no ${kind.name}, but ${JSON.stringify(found)}`);
}

/** Hold what came before the upstream broke off against what it had begun to say. */
export function cutShort(pieces) {
  const came = pieces.join("");
  const whole = CASES.error_in_stream.answer;
  assert.ok(came, "nothing came before the error");
  assert.ok(came !== whole && whole.startsWith(came), came);
}

/** Look for every subtask in what a client shows beside the answer. */
export function showedTheTeam(text) {
  for (const title of CASES.progress.subtasks) assert.ok(text.includes(title), `${title} is not in ${text}`);
}
