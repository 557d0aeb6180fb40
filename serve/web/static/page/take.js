// Taking a project along: copied, printed, kept under a link, shown to others, deleted.
import { ask, Failure, find, make, say, showProblem, tell } from "./dom.js";

const days = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "long" });

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("copy" in button.dataset) await copy(button, () => text(button.dataset.copy));
  else if (button.id === "copy-link") await copy(button, () => find("#link a").href);
  else if ("print" in button.dataset) window.print();
  else if (button.id === "keep") await act(button, () => keep(button));
  else if (button.id === "share") await act(button, share);
  else if (button.id === "delete") await act(button, () => remove(button));
});

async function text(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(response.statusText);
  return response.text();
}

async function copy(button, what) {
  try {
    await navigator.clipboard.writeText(await what());
    confirmOn(button, say("copied"));
  } catch {
    // A page that is not served securely may not write to the clipboard.
    confirmOn(button, say("not_copied"));
  }
}

function confirmOn(button, line) {
  button.dataset.label ??= button.textContent;
  button.textContent = line;
  tell(line);
  setTimeout(() => (button.textContent = button.dataset.label), 4_000);
}

async function keep(button) {
  const { session } = find("#session").dataset;
  const project = Number(button.dataset.projectAt);
  const { url, expires_at } = await ask("POST", "/kept", { session_id: session, project });
  showLink(url, say("kept", { day: days.format(new Date(expires_at)) }));
}

async function share() {
  const { url } = await ask("POST", `/sessions/${find("#session").dataset.session}/share`);
  showLink(url, say("shared"));
}

async function remove(button) {
  await ask("DELETE", `/kept/${button.dataset.kept}`);
  find("#kept").replaceChildren(make("p", { className: "lead", role: "status" }, say("deleted")));
}

function showLink(url, line) {
  const link = find("#link");
  const whole = new URL(document.documentElement.dataset.root + url, location.href).href;
  const [anchor, said] = [find("a", link), find(".hint", link)];
  anchor.href = whole;
  anchor.textContent = whole;
  said.textContent = line;
  link.hidden = false;
  tell(line);
}

async function act(button, what) {
  const problem = find("#take-problem");
  problem.hidden = true;
  button.disabled = true;
  try {
    await what();
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    showProblem(problem, failure, { label: say("again"), act: () => button.click() });
  } finally {
    button.disabled = false;
  }
}
