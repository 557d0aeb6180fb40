// Calls a running service with the client that openapi-typescript makes of its description; prints what it saw.
import createClient from "openapi-fetch";

import type { components, paths } from "./build/api.js";

type RunEvent = components["schemas"]["RunEvent"];
type ServerSent = { event: string; data: string };

const [baseUrl = ""] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl });

function require<T>(value: T | undefined, what: unknown): T {
  if (value === undefined) throw new Error(`nothing came: ${JSON.stringify(what)}`);
  return value;
}

function* serverSent(text: string): Generator<ServerSent> {
  for (const block of text.replaceAll("\r\n", "\n").split("\n\n")) {
    const line = (name: string) =>
      block.split("\n").find((each) => each.startsWith(`${name}: `))?.slice(name.length + 2) ?? "";
    if (line("event")) yield { event: line("event"), data: line("data") };
  }
}

// The compiler knows each event by its type, and that these are all.
function told(event: RunEvent): string {
  switch (event.type) {
    case "node_started":
      return event.data.session_id;
    case "node_finished":
      return event.data;
    case "subject":
      return event.data.subject.title;
    case "task":
      return `${event.data.step} ${event.data.task.deliverable}`;
    case "withdrawn":
      return `${event.data.what} ${event.data.positions?.join() ?? "all"}`;
    case "result":
      return event.data.project.title;
    case "error":
      return event.data.message;
  }
}

const profile = { desired_job: "백엔드 개발자" }; // what may be left out, is left out
const key = { header: { "Idempotency-Key": "typescript" } };

const made = await client.POST("/generate/invoke", { params: key, body: { input: { profile } } });
const first = require(made.data, made.error).output;
const repeated = await client.POST("/generate/invoke", { params: key, body: { input: { profile } } });

const { session_id } = first;
const streamed = await client.POST("/regenerate/stream", {
  body: { input: { session_id, difficulty: "beginner", skills: ["Java"] } },
  parseAs: "text",
});
const events = [...serverSent(require(streamed.data, streamed.error))];
const run = events.filter(({ event }) => event === "data").map(({ data }) => JSON.parse(data) as RunEvent);

const several = await client.POST("/generate/batch", { body: { inputs: [{ profile, language: "en" }] } });
const session = await client.GET("/sessions/{session_id}", { params: { path: { session_id } } });
const found = require((await client.GET("/postings/search", { params: { query: { q: "Java", k: 2 } } })).data, "search");
const forgotten = await client.DELETE("/sessions/{session_id}", { params: { path: { session_id } } });
const gone = await client.GET("/sessions/{session_id}", { params: { path: { session_id } } });
const refused = await client.POST("/generate/invoke", { body: { input: { profile: { desired_job: " " } } } });

console.log(
  JSON.stringify({
    title: first.project.title,
    repeated: repeated.data?.output.session_id === session_id,
    events: [...new Set(events.map(({ event }) => event))],
    types: [...new Set(run.map(({ type }) => type))],
    told: run.map(told).filter((text) => !text).length,
    batch: require(several.data, several.error).output.length,
    history: require(session.data, session.error).history.length,
    found: found.map((posting) => posting.requirements.length > 0 && posting.skills.length >= 0),
    forgotten: forgotten.response.status,
    gone: gone.error?.error.code,
    refused: refused.error?.error.details.fields?.map(({ field }) => field),
  }),
);
