// The page of a session: what is at work is watched; a project is asked for, taken along, kept, shown to others.
import { all, ask, Failure, find, language, onceKey, say, separated, showProblem, tell } from "./dom.js";
import { cancel, close, isWatching, watch } from "./watch.js";
import "./take.js";

const session = find("#session");
const id = session.dataset.session;
const problem = find("#problem");
const readOnly = Boolean(session.dataset.readonly);
let told = false;

/** Watches the session's newest run if it is at work or has failed, and shows its project if this page has none. */
async function lookForRun() {
  let runs;
  try {
    ({ runs } = await ask("GET", `/runs?session_id=${encodeURIComponent(id)}`));
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    if (!find("[data-project]")) failed(failure, null);
    return;
  }
  const newest = runs[0];
  if (!newest) return;
  if (newest.state === "queued" || newest.state === "running") follow(newest);
  else if (newest.state === "succeeded") {
    // Each that succeeded has made a project; asking for the session would bring all of it.
    const made = runs.filter((run) => run.state === "succeeded").length;
    if (made > Number(session.dataset.latest)) await arrived();
  } else if (!find("[data-project]")) follow(newest); // its events tell how far it came
}

async function follow(run) {
  problem.hidden = true;
  told = false;
  asking(false);
  find("#cancel").hidden = readOnly;
  find("#cancel").disabled = false;
  const state = await watch(run);
  asking(true);
  if (state.phase === "succeeded") await arrived();
  else failed(state.failure, run);
}

/** Puts the session as the server shows it now in the place of what this page shows. */
async function arrived() {
  const page = await fetched();
  const columns = page && find(".columns", page);
  if (!columns) {
    location.reload();
    return;
  }
  const here = find(".columns");
  const shown = document.adoptNode(columns);
  if (here) here.replaceWith(shown);
  else session.append(shown);
  const { latest, at } = find("#session", page).dataset;
  Object.assign(session.dataset, { latest, at });
  document.title = page.title;
  history.replaceState(null, "", addressOfNewest());
  close();
  tell(say("finished"));
  find("#project-title").focus({ preventScroll: false });
}

function addressOfNewest() {
  const url = new URL(location.href);
  for (const name of ["project", "with"]) url.searchParams.delete(name);
  url.hash = "";
  return url;
}

// The browser parses the answer as a document in which nothing runs; no markup is made of text here.
function fetched() {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("GET", addressOfNewest());
    request.responseType = "document";
    request.onload = () => resolve(request.status === 200 ? request.responseXML : null);
    request.onerror = () => resolve(null);
    request.send();
  });
}

function failed(error, run) {
  told = true;
  find("#cancel").hidden = true;
  const failure = error instanceof Failure ? error : new Failure(error, error.details?.retry_after_seconds);
  const starts = ["session_not_found", "run_not_found", "unauthorized", "no_postings"].includes(failure.code);
  if (starts || !run) {
    find("#watch").hidden = false;
    showProblem(problem, failure, { label: say("start"), act: () => location.assign(`../?lang=${language}`) });
    return;
  }
  showProblem(problem, failure, { note: say("kept_so_far"), label: say("resume"), act: () => resume(run) });
  tell(problem.firstChild.textContent);
}

async function resume(run) {
  await attempt(async () => follow(await ask("POST", `/runs/${run.run_id}/resume`)), () => resume(run));
}

async function regenerate(wishes, key = onceKey()) {
  asking(false);
  find("#watch").hidden = false;
  find("#watch").scrollIntoView({ block: "start" });
  await attempt(async () => {
    const input = { session_id: id, ...wishes };
    follow(await ask("POST", "/runs", { kind: "regenerate", input }, { "idempotency-key": key }));
  }, () => regenerate(wishes, key));
}

/** Does something that may fail, and says so with a button that does it again. */
async function attempt(act, again) {
  problem.hidden = true;
  try {
    await act();
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    asking(true);
    find("#watch").hidden = false;
    if (failure.code === "run_in_progress") await lookForRun();
    else showProblem(problem, failure, { label: say("again"), act: again });
  }
}

/** While a project is made, none is asked for; the buttons stay where they are and say so. */
function asking(possible) {
  for (const button of all("#again button, [data-subject]")) button.disabled = !possible;
}

find("#cancel").addEventListener("click", async () => {
  find("#cancel").disabled = true;
  try {
    await cancel();
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    find("#cancel").disabled = false;
    showProblem(problem, failure);
  }
});

// What arrives later is heard too: listeners stand on the session, whose parts are replaced.
session.addEventListener("click", (event) => {
  const subject = event.target.closest("[data-subject]");
  if (subject) regenerate({ subject_id: subject.dataset.subject });
  const wish = event.target.closest("[data-wish]");
  if (wish) press(wish);
  const posting = event.target.closest("[data-posting]");
  if (posting) openPosting(posting.hash);
});

session.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  const wishes = all('[data-wish][aria-pressed="true"]', form).map((button) => button.dataset.wish);
  const feedback = [...wishes, form.elements.feedback.value.trim()].filter(Boolean).join(" ");
  // The wish for a shorter one is a number of weeks, and no words.
  const shorter = find('[data-name="shorter"][aria-pressed="true"]', form);
  regenerate({
    feedback: feedback || null,
    skills: separated(form.elements.skills.value),
    weeks: shorter ? Number(form.elements.weeks.value) : null,
  });
});

function press(button) {
  const pressed = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(pressed));
  if (button.dataset.name === "shorter") find("#shorter").hidden = !pressed;
  // Easier and harder at once is no wish.
  const other = { easier: "harder", harder: "easier" }[button.dataset.name];
  if (pressed && other) find(`[data-name="${other}"]`).setAttribute("aria-pressed", "false");
}

function openPosting(hash) {
  const row = document.getElementById(hash.slice(1));
  if (row instanceof HTMLDetailsElement) row.open = true;
}
if (location.hash) openPosting(location.hash);

// Another tab may have asked for a project meanwhile.
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && !isWatching() && !told) lookForRun();
});
lookForRun();
