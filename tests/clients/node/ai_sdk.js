// Vercel's AI SDK, by the provider that the command line names: @ai-sdk/openai-compatible, or openai.chat of
// @ai-sdk/openai.

import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import {
  API_KEY, BASE_URL, CASES, MODEL, NotOffered, Suite, UNKNOWN_MODEL, cutShort, endedEarly, imageArrived, joined, met,
  numbered, png, raised, same, sameUsage, showedTheTeam, wentOn,
} from "./suite.js";

const NAME = process.argv[2];
const COMPATIBLE = NAME === "ai-sdk-compatible";
const suite = new Suite(NAME, COMPATIBLE ? "@ai-sdk/openai-compatible" : "@ai-sdk/openai");
const compatible = createOpenAICompatible({
  name: "team", baseURL: BASE_URL, apiKey: API_KEY, includeUsage: true, supportsStructuredOutputs: true,
});
const openai = createOpenAI({ baseURL: BASE_URL, apiKey: API_KEY });
const model = (id = MODEL) => (COMPATIBLE ? compatible(id) : openai.chat(id));
const asking = (prompt, options = {}) => ({ model: model(), maxRetries: 0, prompt, ...options });
const Form = z.object({ city: z.string(), degrees: z.number().int(), words: z.array(z.string()) });
const TOOL = CASES.tools;

function weather(calledWith) {
  const execute = async ({ city }) => {
    calledWith.push(city);
    return TOOL.result;
  };
  return { [TOOL.name]: tool({ description: TOOL.description, inputSchema: z.object({ city: z.string() }), execute }) };
}

async function all(iterable) {
  const found = [];
  for await (const one of iterable) found.push(one);
  return found;
}

const sameTokens = (name, usage) =>
  sameUsage(suite.mark(name), usage.inputTokens, usage.outputTokens, usage.totalTokens);

await suite.run({
  async plain() {
    const { text, finishReason, usage } = await generateText(asking(suite.prompt("plain")));
    same([text, finishReason], [CASES.plain.answer, "stop"]);
    return sameTokens("plain", usage);
  },

  async streamed() {
    const result = streamText(asking(suite.prompt("streamed", { like: "plain" })));
    const pieces = await all(result.textStream);
    same([joined(pieces), await result.finishReason], [CASES.plain.answer, "stop"]);
    return `${pieces.length} pieces`;
  },

  async conversation() {
    const messages = [{ role: "user", content: suite.prompt("conversation", { like: "progress" }) }];
    const first = streamText(asking(undefined, { messages }));
    await first.consumeStream();
    messages.push(...(await first.response).messages);
    messages.push({ role: "user", content: suite.prompt("conversation", { like: "plain" }) });
    same((await generateText(asking(undefined, { messages }))).text, CASES.plain.answer);
    return wentOn(suite.mark("conversation"));
  },

  async usage() {
    const result = streamText(asking(suite.prompt("usage", { like: "plain" })));
    await result.consumeStream();
    return sameTokens("usage", await result.usage);
  },

  async tools() {
    const calledWith = [];
    const options = { tools: weather(calledWith), stopWhen: stepCountIs(3) };
    const { text, steps } = await generateText(asking(suite.prompt("tools"), options));
    same(steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
    same(steps[0].text, TOOL.said);
    same([calledWith, text], [[TOOL.arguments.city], TOOL.answer]);
    return `called with ${calledWith}`;
  },

  async tools_streamed() {
    const calledWith = [];
    const options = { tools: weather(calledWith), stopWhen: stepCountIs(3) };
    const result = streamText(asking(suite.prompt("tools_streamed"), options));
    const pieces = await all(result.textStream);
    same([calledWith.sort(), joined(pieces)], [CASES.tools_streamed.cities, TOOL.answer]);
    return `called with ${calledWith}`;
  },

  async structured() {
    const options = asking(suite.prompt("structured"), { output: Output.object({ schema: Form }) });
    same((await generateText(options)).output, CASES.structured.value);
    const streamed = streamText(options);
    await streamed.consumeStream();
    same(await streamed.output, CASES.structured.value);
    return "`Output.object`, also from a stream";
  },

  async image() {
    const content = [{ type: "text", text: suite.prompt("image") }, { type: "image", image: png() }];
    const { text } = await generateText(asking(undefined, { messages: [{ role: "user", content }] }));
    same(text, CASES.image.answer);
    return imageArrived(suite.mark("image"));
  },

  async unknown_model() {
    const error = await raised(APICallError, () => generateText(asking("?", { model: model(UNKNOWN_MODEL) })));
    same([error.statusCode, error.data.error.code], [404, "model_not_found"]);
    assert.ok(error.message.includes(UNKNOWN_MODEL), error.message);
    return `APICallError: ${error.message}`;
  },

  async bad_parameter() {
    const error = await raised(APICallError, () => generateText(asking("?", { temperature: 3 })));
    same([error.statusCode, error.data.error.param], [400, "temperature"]);
    return `APICallError: ${error.message}`;
  },

  async error_in_stream() {
    const errors = [];
    const onError = ({ error }) => errors.push(error);
    const result = streamText(asking(suite.prompt("error_in_stream"), { onError }));
    const parts = await all(result.fullStream);
    cutShort(parts.filter((part) => part.type === "text-delta").map((part) => part.text));
    same(errors.length, 1);
    same(parts.filter((part) => part.type === "error").length, 1);
    const told = JSON.stringify(errors[0].message ?? errors[0]);
    assert.match(told, /overloaded/);
    return `an error part, and onError: ${told}`;
  },

  async cancellation() {
    const leaving = new AbortController();
    const options = { abortSignal: leaving.signal, onError: () => {} };
    for await (const part of streamText(asking(suite.prompt("cancellation"), options)).fullStream) {
      if (part.type === "text-delta") leaving.abort();
    }
    return endedEarly(suite.mark("cancellation"));
  },

  async parallel() {
    const runs = numbered().map(([number]) => generateText(asking(suite.prompt("parallel", { more: [number] }))));
    same((await Promise.all(runs)).map(({ text }) => text), numbered().map(([, answer]) => answer));
    return met(suite.mark("parallel"));
  },

  async progress() {
    const result = streamText(asking(suite.prompt("progress")));
    const parts = await all(result.fullStream);
    same(joined(parts.filter((part) => part.type === "text-delta").map((part) => part.text)), CASES.progress.answer);
    const shown = parts.filter((part) => part.type === "reasoning-delta").map((part) => part.text);
    if (!COMPATIBLE) {
      same(shown, []);
      throw new NotOffered("@ai-sdk/openai leaves progress out");
    }
    showedTheTeam(shown.join(""));
    return "as reasoning parts";
  },
});
