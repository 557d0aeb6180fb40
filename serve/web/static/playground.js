// One profile, its project, and the next ones: what a client does with /stream.
"use strict";

const korean = document.documentElement.lang === "ko";
const say = (ko, en) => (korean ? ko : en);
const NODES = {
  build_query: say("검색어 만들기", "Building the query"),
  retrieve: say("공고 찾기", "Finding postings"),
  filter_jobs: say("직무에 맞는 공고 고르기", "Keeping those for the job"),
  summarize: say("요구 사항 모으기", "Summing up what they ask for"),
  propose_subjects: say("주제 제안하기", "Proposing subjects"),
  generate_tasks: say("과제 만들기", "Writing the tasks"),
};
const LEVELS = {
  beginner: say("초급", "beginner"),
  intermediate: say("중급", "intermediate"),
  advanced: say("고급", "advanced"),
};

const form = document.getElementById("profile");
const progress = document.getElementById("progress");
const problem = document.getElementById("problem");
const article = document.getElementById("project");
const cancel = document.getElementById("cancel");
let running = null;

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const given = Object.fromEntries(new FormData(form));
  const profile = {
    desired_job: given.desired_job,
    skills: given.skills.split(/[,，、\n]/).map((skill) => skill.trim()).filter(Boolean),
    career_stage: given.career_stage || null,
    introduction: given.introduction || null,
  };
  run("generate", { profile, language: given.language });
});
cancel.addEventListener("click", () => running?.abort());

async function run(route, input) {
  running?.abort();
  const mine = (running = new AbortController());
  progress.replaceChildren();
  problem.hidden = true;
  atWork(true);
  try {
    const response = await fetch(`${document.body.dataset.root}/${route}/stream`, {
      method: "POST",
      headers: headers(),
      body: JSON.stringify({ input }),
      signal: mine.signal,
    });
    if (!response.ok) return failed((await response.json()).error);
    let ended = false;
    for await (const { event, data } of messages(response.body)) {
      if (event === "error") break;
      if (event === "data") ended = heard(JSON.parse(data)) || ended;
    }
    if (!ended) failed({ message: say("연결이 끊어졌습니다. 다시 시도해 주세요.", "The connection broke off. Try again.") });
  } catch (error) {
    if (error.name !== "AbortError") {
      failed({ message: say("서비스가 응답하지 않습니다. ", "The service does not answer. ") + error.message });
    }
  } finally {
    if (running === mine) {
      running = null;
      atWork(false);
    }
  }
}

function headers() {
  const key = form.elements.key.value.trim();
  return { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
}

// The server-sent events of a body: a name, and the lines of data joined.
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).replace(/\r\n/g, "\n").split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = block.split("\n").map((line) => line.match(/^(\w+): ?(.*)$/)).filter(Boolean);
      const event = fields.find(([, name]) => name === "event")?.[2] ?? "message";
      yield { event, data: fields.filter(([, name]) => name === "data").map(([, , text]) => text).join("\n") };
    }
  }
}

// Shows one event of the run; true when it was the last.
function heard({ type, node, elapsed_ms, data }) {
  if (type === "node_started") {
    const line = element("li", {}, element("span", {}, NODES[node] ?? node));
    line.id = `node-${node}`;
    document.getElementById(line.id)?.remove();
    progress.append(line);
  } else if (type === "node_finished") {
    const line = document.getElementById(`node-${node}`);
    line.className = "done";
    line.firstChild.textContent = data;
    line.append(element("small", {}, `${(elapsed_ms / 1000).toFixed(1)} s`));
  } else if (type === "result") {
    show(data);
  } else if (type === "error") {
    failed(data);
  }
  return type === "result" || type === "error";
}

function show({ session_id, project, candidates, closest_only }) {
  const weeks = say(`${project.duration_weeks}주`, `${project.duration_weeks} weeks`);
  article.replaceChildren(
    element("h2", {}, project.title),
    element("p", {}, project.description),
    element("p", { className: "quiet" }, [weeks, LEVELS[project.difficulty], ...project.skills].join(" · ")),
    ...(closest_only
      ? [element("p", { className: "notice" }, say("이 직무의 공고가 없어 가장 가까운 공고로 답했습니다.", "No posting was for this job: the answer rests on the nearest ones."))]
      : []),
    element("h3", {}, say("공고의 말", "What the postings say")),
    ...project.evidence.map(({ quote, company, job_title }) =>
      element("blockquote", {}, quote, element("br"), element("small", {}, `${company} · ${job_title}`)),
    ),
    ...project.steps.flatMap(({ title, tasks }, at) => [
      element("h3", {}, `${at + 1}. ${title}`),
      element("ol", {}, ...tasks.map((task) =>
        element("li", {}, element("strong", {}, task.title), ` ${task.description}`, element("br"), element("small", {}, `→ ${task.deliverable}`)),
      )),
    ]),
    element("h3", {}, say("다른 프로젝트", "Another project")),
    ...candidates.map((subject) =>
      element("p", {}, again(subject.title, { session_id, subject_id: subject.id }), element("br"), subject.description),
    ),
    again(say("새 주제로", "A new subject"), { session_id }),
  );
  article.hidden = false;
}

function again(words, input) {
  const disabled = !cancel.hidden; // the session is free when the stream has ended
  return element("button", { type: "button", disabled, onclick: () => run("regenerate", input) }, words);
}

function failed({ message, details }) {
  const fields = (details?.fields ?? []).map(({ field, problem: why }) => `${field}: ${why}`);
  problem.textContent = [message, ...fields].join(" · ");
  problem.hidden = false;
}

function atWork(yes) {
  cancel.hidden = !yes;
  for (const button of document.querySelectorAll("button:not(#cancel)")) button.disabled = yes;
}

// Text is only ever set as text, so that nothing in a posting is read as HTML.
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}
