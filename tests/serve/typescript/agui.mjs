// Drives a running service with AG-UI's own client, as a form would and as a chat would; prints what it saw.
import { HttpAgent } from "@ag-ui/client";

const url = `${process.argv[2]}/agui/run`;
const warned = [];
console.warn = (...words) => warned.push(words.join(" "));
console.error = () => undefined; // the client tells of each run that fails, which the one that asked is told, too

async function told(agent, parameters) {
  const events = [];
  const grown = []; // tasks that the project had when it changed
  const { result } = await agent.runAgent(parameters, {
    onEvent: ({ event }) => void events.push(event),
    onStateChanged: ({ state }) => void grown.push((state.project?.steps ?? []).flatMap((step) => step.tasks).length),
  });
  return { types: [...new Set(events.map(({ type }) => type))], steps: events.filter(({ type }) => type === "STEP_FINISHED").length,
    custom: [...new Set(events.filter(({ type }) => type === "CUSTOM").map(({ name }) => name))],
    grew: grown.some((tasks) => tasks > 0 && tasks < grown.at(-1)), result };
}

const profile = { desired_job: "Backend developer", skills: ["Java"] };
const agent = new HttpAgent({ url, initialState: { profile, language: "en", mine: "kept" } });
const first = await told(agent);
const made = agent.state;
const second = await told(agent, { forwardedProps: { wishes: { difficulty: "beginner" } } });
const third = await told(agent, { forwardedProps: { wishes: { subject_id: agent.state.candidates[0].id } } });
const chosen = agent.state.project;

const chat = new HttpAgent({ url, threadId: "a-chat" });
chat.addMessage({ id: "1", role: "user", content: "QA engineer\nI know Python and like games." });
await chat.runAgent();
const asked = chat.state;
chat.addMessage({ id: "2", role: "user", content: "Shorter, please." });
await chat.runAgent();

const onSession = new HttpAgent({ url, threadId: made.session_id });
await onSession.runAgent();

const nothing = await new HttpAgent({ url }).runAgent().catch(({ status, payload }) => ({ status, payload }));

console.log(
  JSON.stringify({
    first, second: second.types, third: third.steps, warned,
    sessions: new Set([made, agent.state, onSession.state].map(({ session_id }) => session_id)).size,
    titles: new Set([made.project, chosen, onSession.state.project].map(({ title }) => title)).size,
    difficulty: agent.state.project.difficulty !== undefined, mine: agent.state.mine,
    answer: ["summary", "postings", "candidates", "versions", "project"].every((key) => key in made),
    chat: [asked.profile, chat.state.session_id === asked.session_id, chat.state.project.title !== asked.project.title],
    said: chat.messages.map(({ role }) => role), refused: [nothing.status, nothing.payload?.error.details.fields[0].field],
  }),
);
