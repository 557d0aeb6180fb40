// What all scripts of the page share: words, elements, and asking the service.
// Texts of people, models and postings are only ever set as text.

const root = document.documentElement.dataset.root;
const words = JSON.parse(document.getElementById("words").textContent);
export const language = document.documentElement.dataset.language;

/** What is said for `key`, with {names} filled in from `values`. */
export function say(key, values = {}) {
  return words[key].replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export const has = (key) => key in words;
export const find = (selector, within = document) => within.querySelector(selector);
export const all = (selector, within = document) => [...within.querySelectorAll(selector)];

export function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** A copy of what a <template> holds. */
export const copyOf = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

/** Says a line to those who listen to the page. */
export function tell(line) {
  document.getElementById("said").textContent = line;
}

export const separated = (text) => text.split(/[,，、\n]/).map((part) => part.trim()).filter(Boolean);

/** An answer of the service that is no success, or none: `code` is "network" then. */
export class Failure extends Error {
  constructor({ code, message = "", details = {} }, retryAfter = null) {
    super(message);
    this.code = code;
    this.details = details ?? {};
    this.retryAfter = retryAfter;
  }
}

/** An address of the service, with the token of this page where it shows somebody else's session. */
export function address(path) {
  const token = document.getElementById("session")?.dataset.token;
  return root + path + (token ? `${path.includes("?") ? "&" : "?"}token=${encodeURIComponent(token)}` : "");
}

/**
 * Asks the service. Returns the body as JSON, or null where there is none.
 * @throws {Failure}
 */
export async function ask(method, path, body, headers = {}) {
  let response;
  try {
    response = await fetch(address(path), {
      method,
      headers: body === undefined ? headers : { "content-type": "application/json", ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new Failure({ code: "network" });
  }
  const text = await response.text();
  let read = null;
  try {
    read = text ? JSON.parse(text) : null;
  } catch {
    // Something between us and the service has answered in its place.
    throw new Failure({ code: response.status === 503 ? "overloaded" : "network" });
  }
  if (!response.ok) {
    const wait = Number(response.headers.get("retry-after")) || read?.error?.details?.retry_after_seconds || null;
    throw new Failure(read?.error ?? { code: "unknown" }, wait);
  }
  return read;
}

/** A name for one wish of the person, so that asking twice begins nothing twice. */
export function onceKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What went wrong in words. */
export function inWords(failure) {
  const key = failure.details.cause === "repeats" ? "error_nothing_new" : `error_${failure.code}`;
  return has(key) ? say(key) : say("error_unknown", { code: failure.code });
}

/**
 * Shows what went wrong: what happened, what is kept, and one button that does something about it.
 * With `retryAfter` the button waits as long as the service asks for.
 */
export function showProblem(box, failure, { note = "", label = "", act = null } = {}) {
  box.replaceChildren(make("p", {}, inWords(failure)));
  if (note) box.append(make("p", {}, note));
  for (const { field, problem } of failure.details.fields ?? []) {
    box.append(make("p", { className: "hint" }, `${field}: ${problem}`));
  }
  if (act) {
    const button = make("button", { type: "button", onclick: act }, label);
    box.append(button);
    if (failure.retryAfter) wait(button, box, failure.retryAfter);
  }
  box.hidden = false;
}

function wait(button, box, seconds) {
  const line = make("p", { className: "hint" }, say("wait", { seconds }));
  box.append(line);
  button.disabled = true;
  setTimeout(() => {
    button.disabled = false;
    line.remove();
  }, seconds * 1000);
}
