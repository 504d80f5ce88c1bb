// The official client for JavaScript.

import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import {
  API_KEY, BASE_URL, CASES, MODEL, Suite, UNKNOWN_MODEL, calls, cutShort, endedEarly, imageArrived, joined, met,
  numbered, pdf, png, raised, same, sameUsage, showedTheTeam, underWay,
  wentOn,
} from "./suite.js";

const suite = new Suite("openai-node", "openai");
const client = new OpenAI({ baseURL: BASE_URL, apiKey: API_KEY, maxRetries: 0 });
const TOOL = CASES.tools;
const FUNCTION = {
  name: TOOL.name,
  description: TOOL.description,
  parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
};
const TOOLS = [{ type: "function", function: FUNCTION }];
const Form = z.object({ city: z.string(), degrees: z.number().int(), words: z.array(z.string()) });

const asked = (content) => ({ model: MODEL, messages: [{ role: "user", content }] });
const create = (content, options = {}) => client.chat.completions.create({ ...asked(content), ...options });

async function chunksOf(content, options = {}) {
  const chunks = [];
  for await (const chunk of await create(content, { stream: true, ...options })) chunks.push(chunk);
  return chunks;
}

const sameTokens = (name, usage) =>
  sameUsage(suite.mark(name), usage.prompt_tokens, usage.completion_tokens, usage.total_tokens);

/** The results of the calls in a message, which must be for these cities. */
function results({ tool_calls: called }, cities) {
  same(called.map((call) => call.function.name), cities.map(() => TOOL.name));
  same(called.map((call) => JSON.parse(call.function.arguments)), cities.map((city) => ({ city })));
  return called.map(({ id }) => ({ role: "tool", tool_call_id: id, content: TOOL.result }));
}

await suite.run({
  async plain() {
    const { choices, usage, object, model } = await create(suite.prompt("plain"));
    same(choices.map((choice) => [choice.message.content, choice.finish_reason]), [[CASES.plain.answer, "stop"]]);
    same([object, model], ["chat.completion", MODEL]);
    return sameTokens("plain", usage);
  },

  async streamed() {
    const chunks = await chunksOf(suite.prompt("streamed", { like: "plain" }));
    same(joined(chunks.map((chunk) => chunk.choices[0].delta.content)), CASES.plain.answer);
    same(chunks[0].choices[0].delta.role, "assistant");
    same(chunks.map((chunk) => chunk.choices[0].finish_reason).filter(Boolean), ["stop"]);
    return `${chunks.length} chunks`;
  },

  async conversation() {
    const { messages } = asked(suite.prompt("conversation", { like: "progress" }));
    const first = await client.chat.completions.stream({ model: MODEL, messages }).finalChatCompletion();
    const more = asked(suite.prompt("conversation", { like: "plain" })).messages;
    const completion = await create("", { messages: [...messages, first.choices[0].message, ...more] });
    same(completion.choices[0].message.content, CASES.plain.answer);
    return wentOn(suite.mark("conversation"));
  },

  async usage() {
    const prompt = suite.prompt("usage", { like: "plain" });
    const chunks = await chunksOf(prompt, { stream_options: { include_usage: true } });
    same(chunks.filter((chunk) => chunk.usage).length, 1);
    same(chunks.at(-1).choices, []);
    return sameTokens("usage", chunks.at(-1).usage);
  },

  async tools() {
    const { messages } = asked(suite.prompt("tools"));
    const asking = (await create("", { messages, tools: TOOLS })).choices[0];
    same(asking.finish_reason, "tool_calls");
    same(asking.message.content, TOOL.said);
    const more = [...messages, asking.message, ...results(asking.message, [TOOL.arguments.city])];
    const answer = (await create("", { messages: more, tools: TOOLS })).choices[0];
    same([answer.message.content, answer.finish_reason], [TOOL.answer, "stop"]);
    return "the call came, and the answer to its result";
  },

  async tools_streamed() {
    const { messages } = asked(suite.prompt("tools_streamed"));
    const asking = client.chat.completions.stream({ model: MODEL, messages, tools: TOOLS });
    const { message, finish_reason } = (await asking.finalChatCompletion()).choices[0];
    same(finish_reason, "tool_calls");
    const more = [...messages, message, ...results(message, CASES.tools_streamed.cities)];
    const pieces = [];
    const answering = client.chat.completions.stream({ model: MODEL, messages: more, tools: TOOLS });
    answering.on("content", (piece) => pieces.push(piece));
    same(await answering.finalContent(), TOOL.answer);
    same(joined(pieces), TOOL.answer);
    return "two calls came, and the answer to their results";
  },

  async structured() {
    const asking = { ...asked(suite.prompt("structured")), response_format: zodResponseFormat(Form, "form") };
    const whole = await client.chat.completions.parse(asking);
    same(whole.choices[0].message.parsed, CASES.structured.value);
    const pieces = [];
    const stream = client.chat.completions.stream(asking).on("content", (piece) => pieces.push(piece));
    same((await stream.finalChatCompletion()).choices[0].message.parsed, CASES.structured.value);
    same(JSON.parse(joined(pieces)), CASES.structured.value);
    return "parsed with zod, also from a stream";
  },

  async image() {
    const url = `data:image/png;base64,${png().toString("base64")}`;
    const parts = [{ type: "text", text: suite.prompt("image") }, { type: "image_url", image_url: { url } }];
    same((await create(parts)).choices[0].message.content, CASES.image.answer);
    return imageArrived(suite.mark("image"));
  },

  async unknown_model() {
    const error = await raised(OpenAI.NotFoundError, () => create("?", { model: UNKNOWN_MODEL }));
    same([error.status, error.code, error.param], [404, "model_not_found", "model"]);
    assert.ok(error.message.includes(UNKNOWN_MODEL), error.message);
    return `NotFoundError: ${error.message}`;
  },

  async bad_parameter() {
    const error = await raised(OpenAI.BadRequestError, () => create("?", { temperature: 3 }));
    same([error.status, error.type, error.param], [400, "invalid_request_error", "temperature"]);
    return `BadRequestError: ${error.message}`;
  },

  async error_in_stream() {
    const pieces = [];
    const error = await raised(OpenAI.APIError, async () => {
      const stream = await create(suite.prompt("error_in_stream"), { stream: true });
      for await (const chunk of stream) pieces.push(chunk.choices[0].delta.content ?? "");
    });
    cutShort(pieces);
    same(error.type, "server_error");
    return `APIError: ${error.message}`;
  },

  async cancellation() {
    for await (const chunk of await create(suite.prompt("cancellation"), { stream: true })) {
      if (chunk.choices[0].delta.content) break;
    }
    return endedEarly(suite.mark("cancellation"));
  },

  async parallel() {
    const runs = numbered().map(([number]) => create(suite.prompt("parallel", { more: [number] })));
    const answers = (await Promise.all(runs)).map((completion) => completion.choices[0].message.content);
    same(answers, numbered().map(([, answer]) => answer));
    return met(suite.mark("parallel"));
  },

  async progress() {
    const deltas = (await chunksOf(suite.prompt("progress"))).map((chunk) => chunk.choices[0].delta);
    same(joined(deltas.map((delta) => delta.content)), CASES.progress.answer);
    showedTheTeam(deltas.map((delta) => delta.reasoning_content ?? "").join(""));
    return "as `reasoning_content`, an extra field of a delta";
  },

  async models() {
    const listed = (await client.models.list()).data;
    same(listed.map((model) => [model.id, model.object, typeof model.created]), [[MODEL, "model", "number"]]);
    same((await client.models.retrieve(MODEL)).id, MODEL);
    return `${listed.length} listed`;
  },

  async developer_role() {
    const developer = { role: "developer", content: "Be brief, says the developer." };
    const { messages } = asked(suite.prompt("developer_role", { like: "plain" }));
    const completion = await create("", { messages: [developer, ...messages] });
    same(completion.choices[0].message.content, CASES.plain.answer);
    const [call] = await calls(suite.mark("developer_role"));
    assert.ok(JSON.stringify(call.body.system).includes(developer.content));
    return "arrived as Claude's system prompt";
  },

  async content_parts() {
    const prompt = suite.prompt("content_parts", { like: "plain" });
    const said = ["A system part.", "An earlier question.", "An earlier answer.", prompt];
    const roles = ["system", "user", "assistant", "user"];
    const messages = said.map((text, i) => ({ role: roles[i], content: [{ type: "text", text }] }));
    same((await create("", { messages })).choices[0].message.content, CASES.plain.answer);
    const [{ body }] = await calls(suite.mark("content_parts"));
    const arrived = JSON.stringify([body.system, body.messages]);
    same(said.filter((text) => !arrived.includes(text)), []);
    return "all parts arrived upstream";
  },

  async request_id() {
    const completion = await create(suite.prompt("request_id", { like: "plain" }));
    const error = await raised(OpenAI.NotFoundError, () => create("?", { model: UNKNOWN_MODEL }));
    assert.ok(completion._request_id, "no id on the answer");
    assert.ok(error.requestID, "no id on the error");
    assert.notEqual(completion._request_id, error.requestID);
    return `${completion._request_id} and ${error.requestID}`;
  },

  async n_refused() {
    const error = await raised(OpenAI.BadRequestError, () => create("?", { n: 2 }));
    same([error.type, error.param], ["invalid_request_error", "n"]);
    return `BadRequestError: ${error.message}`;
  },

  async legacy_functions() {
    const { messages } = asked(suite.prompt("legacy_functions", { like: "tools" }));
    const { message, finish_reason } = (await create("", { messages, functions: [FUNCTION] })).choices[0];
    same([finish_reason, message.function_call.name], ["function_call", TOOL.name]);
    same(JSON.parse(message.function_call.arguments), TOOL.arguments);
    const more = [...messages, message, { role: "function", name: TOOL.name, content: TOOL.result }];
    const answer = (await create("", { messages: more, functions: [FUNCTION] })).choices[0];
    same([answer.message.content, answer.finish_reason], [TOOL.answer, "stop"]);
    return "the call came, and the answer to its result";
  },

  async tool_choice() {
    const tool_choice = { type: "function", function: { name: TOOL.name } };
    const prompt = suite.prompt("tool_choice", { like: "tools" });
    const completion = await create(prompt, { tools: TOOLS, tool_choice, parallel_tool_calls: false });
    results(completion.choices[0].message, [TOOL.arguments.city]);
    const [{ body }] = await calls(suite.mark("tool_choice"));
    same(body.tools.map((tool) => tool.name), [TOOL.name]);
    assert.ok(body.tool_choice.disable_parallel_tool_use);
    return "only that tool was offered to Claude, for one call";
  },

  async stop() {
    const prompt = suite.prompt("stop", { like: "plain" });
    const wanted = CASES.plain.answer.split("sentences")[0];
    const { message, finish_reason } = (await create(prompt, { stop: ["never said", "sentences"] })).choices[0];
    same([message.content, finish_reason], [wanted, "stop"]);
    const chunks = await chunksOf(prompt, { stop: "sentences" });
    same(joined(chunks.map((chunk) => chunk.choices[0].delta.content)), wanted);
    same(chunks.at(-1).choices[0].finish_reason, "stop");
    return `cut to ${message.content}`;
  },

  async length() {
    const prompt = suite.prompt("length", { like: "plain" });
    const { message, finish_reason } = (await create(prompt, { max_completion_tokens: 5 })).choices[0];
    same(finish_reason, "length");
    assert.ok(message.content && CASES.plain.answer.startsWith(message.content), message.content);
    return `cut to ${message.content}`;
  },

  async refusal() {
    const asking = { ...asked(suite.prompt("refusal")), response_format: zodResponseFormat(Form, "form") };
    const { message } = (await client.chat.completions.parse(asking)).choices[0];
    same([message.parsed, message.content], [null, null]);
    assert.ok(message.refusal);
    const streamed = await client.chat.completions.stream(asking).finalChatCompletion();
    same(streamed.choices[0].message.refusal, message.refusal);
    same((await create(suite.prompt("refusal"))).choices[0].finish_reason, "content_filter");
    return `refusal ${message.refusal}`;
  },

  async file() {
    const part = (filename, data, kind) => {
      const file_data = `data:${kind};base64,${data.toString("base64")}`;
      return { type: "file", file: { filename, file_data } };
    };
    const text = part("notes.txt", Buffer.from("Notes: ü."), "text/plain");
    const paper = part("paper.pdf", pdf(), "application/pdf");
    const prompt = { type: "text", text: suite.prompt("file", { like: "plain" }) };
    same((await create([prompt, text, paper])).choices[0].message.content, CASES.plain.answer);
    const [{ body }] = await calls(suite.mark("file"));
    const blocks = body.messages.flatMap((message) => message.content).filter((block) => block.type === "document");
    const sources = blocks.map(({ source }) => [source.media_type, source.data]);
    same(sources, [["text/plain", "Notes: ü."], ["application/pdf", pdf().toString("base64")]]);
    return "both arrived upstream";
  },

  async overloaded() {
    const error = await raised(OpenAI.InternalServerError, () => create(suite.prompt("overloaded"), { stream: true }));
    same([error.status, error.type, error.code], [503, "server_error", "overloaded"]);
    assert.ok(Number(error.headers.get("retry-after")) > 0);
    return `InternalServerError after ${(await calls(suite.mark("overloaded"))).length} upstream calls`;
  },

  async leaving_a_team() {
    for await (const chunk of await create(suite.prompt("leaving_a_team"), { stream: true })) {
      if (!chunk.choices[0].delta.reasoning_content) continue;
      await underWay(suite.mark("leaving_a_team"), "worker", CASES.progress.subtasks.length);
      break;
    }
    return endedEarly(suite.mark("leaving_a_team"), "worker");
  },

  async foreign_history() {
    const ids = [`call_${"a".repeat(59)}`, "functions.get_weather:0"];
    const called = ["{}", ""].map((text, i) => ({
      id: ids[i], type: "function", function: { name: "get_weather", arguments: text },
    }));
    const messages = [
      { role: "user", content: "?" },
      { role: "assistant", tool_calls: [called[0]] },
      { role: "tool", tool_call_id: ids[0], content: [{ type: "text", text: "as parts" }] },
      { role: "assistant", content: null, tool_calls: [called[1]] },
      { role: "tool", tool_call_id: ids[1], content: "" },
      { role: "assistant", content: "", name: "poet" },
      ...asked(suite.prompt("foreign_history", { like: "plain" })).messages,
    ];
    const tools = [{ type: "function", function: { name: "get_weather" } }];
    same((await create("", { messages, tools })).choices[0].message.content, CASES.plain.answer);
    const [{ body }] = await calls(suite.mark("foreign_history"));
    const blocks = body.messages.flatMap((message) => message.content);
    const uses = blocks.filter((block) => block.type === "tool_use").map((block) => block.id);
    same(blocks.filter((block) => block.type === "tool_result").map((block) => block.tool_use_id), uses);
    same(uses.length, 2);
    return "calls and results arrived upstream in pairs";
  },

  async tolerated() {
    const withoutEffect = {
      n: 1, stop: null, tools: null, temperature: 0.2, top_p: 0.9, presence_penalty: 0.1, frequency_penalty: -0.1,
      logit_bias: {}, logprobs: false, seed: 7, user: "somebody", store: true, metadata: { a: "b" },
      service_tier: "auto", parallel_tool_calls: true, prompt_cache_key: "key", safety_identifier: "id",
      verbosity: "low", reasoning_effort: "low", modalities: ["text"], response_format: { type: "text" },
      nobody_knows: { this: 1 },
    };
    const completion = await create(suite.prompt("tolerated", { like: "plain" }), withoutEffect);
    same(completion.choices[0].message.content, CASES.plain.answer);
    return `${Object.keys(withoutEffect).length} at once`;
  },

  async responses_api() {
    const error = await raised(OpenAI.NotFoundError, () => client.responses.create({ model: MODEL, input: "?" }));
    same([error.status, error.type], [404, "invalid_request_error"]);
    return `NotFoundError: ${error.message}`;
  },
});
