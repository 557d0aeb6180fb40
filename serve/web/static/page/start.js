// The start: the form of a profile, filled in by hand, from a résumé or with a sample person.
import { all, ask, Failure, find, has, language, make, onceKey, say, separated, showProblem, tell } from "./dom.js";

const DRAFT = "checkerboard-profile";
const form = find("#start");
const chips = find("#skills");
const skill = find("#skill");
const problem = find("#problem");
const LISTS = { wishes: "\n", desired_companies: "," };
const NUMBERS = ["gpa", "gpa_max"];
let key = onceKey();

fill(given() ?? draft() ?? {});

function given() {
  const data = find("#profile");
  return data && JSON.parse(data.textContent);
}

// Kept for this tab alone: what was typed survives a reload and the end of a session.
function draft() {
  try {
    return JSON.parse(sessionStorage.getItem(DRAFT));
  } catch {
    return null;
  }
}

function remember() {
  key = onceKey();
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify(profile()));
  } catch {
    // A browser that keeps nothing keeps no draft either.
  }
}

/** The profile as the form has it. */
function profile() {
  const { desired_job, career_stage, hours_per_week, introduction } = form.elements;
  return {
    desired_job: desired_job.value.trim(),
    career_stage: career_stage.value || null,
    hours_per_week: hours_per_week.value ? Number(hours_per_week.value) : null,
    introduction: introduction.value.trim() || null,
    skills: all("[data-skill]", chips).map((chip) => chip.dataset.skill),
    ...Object.fromEntries(Object.entries(LISTS).map(([name, by]) => [name, split(form.elements[name].value, by)])),
    ...Object.fromEntries(all("[data-group]", form).map((group) => [group.dataset.group, entries(group)])),
  };
}

const split = (text, by) => (by === "," ? separated(text) : text.split(by).map((line) => line.trim()).filter(Boolean));

function entries(group) {
  return all(".entry", group)
    .map((entry) => Object.fromEntries(all("[data-field]", entry).map((input) => [input.dataset.field, value(input)])))
    .filter((entry) => Object.values(entry).some((said) => said !== null && said.length !== 0));
}

function value(input) {
  const text = input.value.trim();
  if (input.dataset.field === "skills") return separated(text);
  if (NUMBERS.includes(input.dataset.field)) return text ? Number(text) : null;
  return text || null;
}

function fill(said) {
  for (const name of ["desired_job", "career_stage", "hours_per_week", "introduction"]) {
    form.elements[name].value = said[name] ?? "";
  }
  for (const [name, by] of Object.entries(LISTS)) {
    form.elements[name].value = (said[name] ?? []).join(by === "," ? ", " : by);
  }
  chips.replaceChildren();
  (said.skills ?? []).forEach(addSkill);
  let more = false;
  for (const group of all("[data-group]", form)) {
    find(".entries", group).replaceChildren();
    for (const entry of said[group.dataset.group] ?? []) addEntry(group, entry);
    more ||= Boolean(said[group.dataset.group]?.length);
  }
  find("#more").open = more || Boolean(said.introduction || said.wishes?.length);
}

function addSkill(name) {
  const known = all("[data-skill]", chips).some((chip) => chip.dataset.skill.toLowerCase() === name.toLowerCase());
  if (known || !name) return;
  const chip = make("li", {}, make("span", {}, name));
  chip.dataset.skill = name;
  const remove = make("button", { type: "button", onclick: () => (chip.remove(), remember(), skill.focus()) }, "×");
  remove.setAttribute("aria-label", say("remove", { what: name }));
  chip.append(remove);
  chips.append(chip);
}

function takeSkills() {
  separated(skill.value).forEach(addSkill);
  skill.value = "";
  remember();
}

function addEntry(group, said = {}) {
  const entry = find("template", group).content.firstElementChild.cloneNode(true);
  for (const input of all("[data-field]", entry)) {
    const of = said[input.dataset.field];
    input.value = Array.isArray(of) ? of.join(", ") : (of ?? "");
  }
  find(".entries", group).append(entry);
  return entry;
}

skill.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing) return; // Enter also ends a syllable of Hangul
  event.preventDefault();
  if (skill.value.trim()) takeSkills();
});
skill.addEventListener("input", (event) => {
  // A choice from the list comes without a key.
  if (/[,，、]/.test(skill.value) || event.inputType === "insertReplacementText") takeSkills();
});
find("#add-skill").addEventListener("click", () => (takeSkills(), skill.focus()));
form.addEventListener("input", remember);
form.addEventListener("click", (event) => {
  const { job, add, remove } = event.target.dataset;
  if (job) {
    form.elements.desired_job.value = job;
    form.elements.desired_job.focus();
  } else if (add) find("input", addEntry(event.target.closest("[data-group]"))).focus();
  else if (remove !== undefined) {
    const group = event.target.closest("[data-group]");
    event.target.closest(".entry").remove();
    find("[data-add]", group).focus();
  } else return;
  remember();
});
find("#clear").addEventListener("click", () => {
  fill({});
  remember();
  find("#resume-text").value = "";
  find("#resume-done").hidden = true;
  form.elements.desired_job.focus();
});

find("#read-resume").addEventListener("click", async ({ target }) => {
  const text = find("#resume-text").value.trim();
  if (!text) return;
  await busy(target, say("reading"), async () => {
    const { profile: read, not_understood } = await ask("POST", "/profiles/from-resume", { text, language });
    fill({ ...read, desired_job: read.desired_job || form.elements.desired_job.value });
    remember();
    const left = find("#resume-left");
    find("ul", left).replaceChildren(...not_understood.map((line) => make("li", {}, line)));
    left.hidden = not_understood.length === 0;
    find("#resume-done").hidden = false;
    find("#more").open = true;
    tell(say("read"));
  });
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  takeSkills();
  const said = profile();
  const job = form.elements.desired_job;
  if (!/[\p{L}\p{N}]/u.test(said.desired_job)) {
    wrong("desired_job", say("job_needs_letters"));
    job.focus();
    return;
  }
  const sent = key; // asked again after a broken connection, it begins nothing twice
  await busy(find("#go"), say("sending"), async () => {
    const input = { profile: said, language };
    const run = await ask("POST", "/runs", { kind: "generate", input }, { "idempotency-key": sent });
    location.assign(`s/${run.session_id}?lang=${language}`);
  });
});

async function busy(button, line, act) {
  problem.hidden = true;
  all("[aria-invalid]").forEach(right);
  button.disabled = true;
  find("#state").textContent = line;
  try {
    await act();
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    const named = (failure.details.fields ?? []).filter(({ field, problem: why }) => wrong(lastName(field), why));
    if (failure.details.fields) failure.details.fields = failure.details.fields.filter((one) => !named.includes(one));
    const label = failure.code === "overloaded" || failure.code === "network" || !has(`error_${failure.code}`);
    showProblem(problem, failure, { label: say("again"), act: label || failure.retryAfter ? () => button.click() : null });
  } finally {
    button.disabled = false;
    find("#state").textContent = "";
  }
}

const lastName = (field) => field.split(".").filter((part) => !/^\d+$/.test(part)).pop();

/** Says beside a field what is wrong with it; false where the form has no such field. */
function wrong(name, why) {
  const input = name === "skills" ? skill : (form.elements[name] ?? find(`[data-field="${name}"]`));
  if (!input) return false;
  input.setAttribute("aria-invalid", "true");
  const line = document.getElementById(`${name}-wrong`);
  if (line) {
    line.textContent = name === "desired_job" ? why : say("field_wrong", { problem: why });
    line.hidden = false;
  }
  input.addEventListener("input", () => right(input), { once: true });
  return Boolean(line);
}

function right(input) {
  input.removeAttribute("aria-invalid");
  const name = input === skill ? "skills" : input.name;
  const line = document.getElementById(`${name}-wrong`);
  if (line) line.hidden = true;
}
