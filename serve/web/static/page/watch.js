// Watching a run: its events come in, the six squares fill, the project grows where it will stay.
import { address, all, ask, copyOf, Failure, find, make, say, tell } from "./dom.js";
import { heard, unheard } from "./run.js";

const TRY_AGAIN = 2_000;
const panel = find("#watch");
const growing = find("#growing");
const connection = find("#connection");
let watched = null;

/** Watches `run` until it ends, however often the connection breaks. Resolves with its last state. */
export function watch(run) {
  watched?.stop();
  watched = new Watched(run);
  return watched.ended;
}

export const isWatching = () => watched !== null && !watched.over;

/** Stops the run that is watched; the service stops asking the model. */
export async function cancel() {
  connection.textContent = say("cancelling");
  await ask("DELETE", `/runs/${watched.id}`);
}

class Watched {
  constructor({ run_id, kind }) {
    this.id = run_id;
    this.over = false;
    this.state = unheard(kind);
    this.ended = new Promise((resolve) => (this.resolve = resolve));
    panel.hidden = false;
    growing.replaceChildren();
    growing.hidden = kind !== "generate";
    this.draw();
    this.listen();
  }

  listen() {
    const after = this.last ? `?after=${encodeURIComponent(this.last)}` : "";
    this.source = new EventSource(address(`/runs/${this.id}/events${after}`));
    const types = ["queued", "node_started", "node_finished", "subject", "task", "withdrawn", "gap", "result", "error"];
    for (const type of types) {
      this.source.addEventListener(type, (event) => {
        // The browser's own "error" says that the connection is lost, and has no data.
        if (event.data === undefined) this.lost();
        else this.hear(event);
      });
    }
    this.source.addEventListener("open", () => this.draw());
  }

  hear(event) {
    this.last = event.lastEventId || this.last;
    this.state = heard(this.state, JSON.parse(event.data));
    this.draw();
    if (this.state.phase === "succeeded") this.end();
    // A run that was resumed tells of the failure before it too, and goes on: whether it has ended, it knows.
    else if (this.state.phase === "failed") this.lookUp();
  }

  // The browser comes again by itself, with the id of the last event. Where it gives up, for the service
  // answered with an error, we look what has become of the run and come again too.
  lost() {
    if (this.over) return;
    connection.textContent = say("reconnecting");
    clearTimeout(this.waiting);
    if (this.source.readyState === EventSource.CLOSED) this.waiting = setTimeout(() => this.lookUp(), TRY_AGAIN);
  }

  async lookUp() {
    try {
      const run = await ask("GET", `/runs/${this.id}`);
      if (run.state === "succeeded") this.end({ phase: "succeeded" });
      else if (run.state === "failed" || run.state === "cancelled") {
        this.end({ phase: "failed", failure: run.error ?? { code: "run_cancelled" } });
      } else if (this.source.readyState === EventSource.CLOSED) this.listen();
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure;
      if (["run_not_found", "session_not_found", "unauthorized"].includes(failure.code)) {
        this.end({ phase: "failed", failure: { code: failure.code } });
      } else this.lost();
    }
  }

  end(told = {}) {
    Object.assign(this.state, told);
    this.stop();
    this.draw();
    this.resolve(this.state);
  }

  stop() {
    this.over = true;
    this.source.close();
    clearTimeout(this.waiting);
  }

  draw() {
    const { phase, nodes, missed, withdrawn } = this.state;
    for (const line of all("[data-node]", panel)) {
      const { state, found, seconds } = nodes[line.dataset.node];
      const was = line.className;
      const shown = state === "now" && phase === "failed" ? "broke" : state;
      line.className = shown === "reused" ? "done reused" : shown;
      if (shown === "now") line.setAttribute("aria-current", "step");
      else line.removeAttribute("aria-current");
      find(".found", line).textContent = { reused: say("reused"), broke: say("broke") }[shown] ?? found;
      find(".took", line).textContent = seconds === null ? "" : say("seconds", { seconds: seconds.toFixed(1) });
      if (was === "now" && state === "done") tell(found);
    }
    const lines = { queued: say("queued"), running: missed ? say("gap") : withdrawn ? say("withdrawn") : "" };
    connection.textContent = lines[phase] ?? "";
    find("#watching").textContent = say(phase === "failed" ? "stopped" : "being_made");
    this.grow();
  }

  // The project as far as it is written. What stands already is left as it is, so that nothing jumps.
  grow() {
    const { subject, steps, phase, kind } = this.state;
    if (phase === "failed") {
      growing.hidden = !subject; // nothing is to come: no space is kept for it
      return;
    }
    if (kind !== "generate" && !subject) return;
    growing.hidden = false;
    if (!growing.firstChild) growing.append(copyOf("skeleton"));
    const set = (selector, text) => {
      const element = find(selector, growing);
      if (element.textContent !== text) element.textContent = text;
    };
    set(".title", subject?.title ?? "");
    set(".lead", subject?.description ?? "");
    set(".goal", subject?.goal ? `${say("goal")}: ${subject.goal}` : "");
    set(".later", subject ? say("growing_why") : "");
    const list = find(".steps", growing);
    while (list.children.length > steps.length) list.lastChild.remove();
    steps.forEach(({ title, tasks }, at) => {
      const step = list.children[at] ?? list.appendChild(copyOf("skeleton-step"));
      find("h3", step).textContent = title;
      const made = find(".tasks", step);
      while (made.children.length > tasks.length) made.lastChild.remove();
      tasks.forEach((task, place) => write(made.children[place] ?? made.appendChild(copyOf("skeleton-task")), task));
    });
  }
}

function write(line, task) {
  if (!task || line.dataset.written === task.title) return;
  const [heading, text, deliverable] = line.children;
  heading.replaceChildren(task.title);
  if (task.hours) heading.append(" ", make("small", {}, say("hours", { hours: task.hours })));
  text.textContent = task.description;
  deliverable.lastChild.textContent = task.deliverable;
  line.dataset.written = task.title;
}

/** Takes away what was shown of a run that has ended. */
export function close() {
  panel.hidden = true;
  growing.hidden = true;
  growing.replaceChildren();
}
