// Drives a running service with LangChain's RemoteRunnable for JavaScript; prints what it saw.
import { RemoteRunnable } from "@langchain/core/runnables/remote";

const [address = ""] = process.argv.slice(2);
const generate = new RemoteRunnable({ url: `${address}/generate` });
const regenerate = new RemoteRunnable({ url: `${address}/regenerate` });
const input = { profile: { desired_job: "Backend developer" }, language: "en" };

const first = await generate.invoke(input);
const types = [];
for await (const event of await regenerate.stream({ session_id: first.session_id, difficulty: "beginner" })) {
  types.push(event.type);
}
const batch = await generate.batch([input]);
const nodes = new Set();
for await (const event of generate.streamEvents(input, { version: "v2" })) {
  nodes.add(event.name);
}
const refused = await regenerate.invoke({ session_id: "0".repeat(32) }).catch((error) => String(error));

console.log(
  JSON.stringify({
    title: first.project.title,
    types: [...new Set(types)],
    batch: batch.length,
    nodes: [...nodes].length,
    refused: refused.includes("404"),
  }),
);
