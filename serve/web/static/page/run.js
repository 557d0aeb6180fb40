// A run as its events tell it: a state, and what each event makes of it. Nothing here knows of a page.

export const NODES = ["build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks"];
const BEGINS_AT = { generate: 0, regenerate: 4 };

/** The state of a run of which nothing has been heard. `nodes[name]` is {state, found, seconds}. */
export function unheard(kind = "generate") {
  const begins = BEGINS_AT[kind] ?? 0;
  const nodes = Object.fromEntries(
    NODES.map((name, at) => [name, { state: at < begins ? "reused" : "waits", found: "", seconds: null }]),
  );
  return { kind, phase: "queued", nodes, subject: null, steps: [], missed: false, withdrawn: false, failure: null };
}

/** The state after one event of `/runs/{id}/events`. */
export function heard(state, { type, node, elapsed_ms, data }) {
  const next = structuredClone(state);
  const told = next.nodes[node];
  switch (type) {
    case "queued":
      // A run that was taken up anew begins anew, and what it had written is written again.
      return unheard(state.kind);
    case "node_started":
      next.phase = "running";
      if (told) Object.assign(told, { state: "now", started: elapsed_ms });
      break;
    case "node_finished":
      next.phase = "running";
      if (told) Object.assign(told, { state: "done", found: data, seconds: (elapsed_ms - (told.started ?? 0)) / 1000 });
      break;
    case "subject":
      if (data.position === 0) {
        next.subject = data.subject;
        next.withdrawn = false;
      }
      break;
    case "task":
      place(next.steps, data);
      next.withdrawn = false;
      break;
    case "withdrawn":
      withdraw(next, data);
      break;
    case "gap":
      next.missed = true;
      break;
    case "result":
      next.phase = "succeeded";
      break;
    case "error":
      next.phase = "failed";
      next.failure = data;
      break;
  }
  return next;
}

function place(steps, { step, step_title, position, task }) {
  for (let at = steps.length; at <= step; at++) steps.push({ title: "", tasks: [] });
  steps[step].title = step_title;
  steps[step].tasks[position] = task;
}

function withdraw(state, { what, positions }) {
  state.withdrawn = true;
  if (what === "tasks") state.steps = [];
  else if (positions === null || positions.includes(0)) state.subject = null;
}
