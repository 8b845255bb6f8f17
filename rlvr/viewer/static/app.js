// The header and which page is shown.
import { get, go, link, readState, source } from "./api.js";
import { compare } from "./compare.js";
import { count, el } from "./dom.js";
import { rollout } from "./rollout.js";
import { rollouts } from "./rollouts.js";
import { sourceFields } from "./source.js";

const LOOK = 3000; // ms between two looks for new steps
const PAGES = { rollouts, rollout, compare };
const main = document.getElementById("main");
let runs = [];
let leave = () => {};
let changes = null;

async function show() {
  const state = readState();
  const shown = new AbortController();
  leave();
  leave = () => shown.abort();
  try {
    ({ runs } = await get("runs", {}, shown.signal));
    const whole = complete(state);
    header(whole);
    await (PAGES[whole.page] ?? rollouts)({ main, state: whole, runs, signal: shown.signal });
    if (!shown.signal.aborted) await look(whole, shown.signal);
  } catch (error) {
    if (!shown.signal.aborted) fail(error);
  }
}

// What the address does not say: the last stage that has rollouts.
function complete(state) {
  const run = runs[state.run] ? Number(state.run) : 0;
  const stages = runs[run].stages.filter((stage) => stage.kinds.length);
  const stage =
    stages.find(({ name }) => name === state.stage) ??
    stages.findLast(({ kinds }) => kinds.includes("train")) ??
    stages.at(-1);
  const kind = stage.kinds.includes(state.kind) ? state.kind : stage.kinds[0];
  return { ...state, run, stage: stage.name, kind };
}

function header(state) {
  const pages = document.getElementById("pages");
  const current = state.page === "compare" ? "compare" : "rollouts";
  pages.replaceChildren(
    ...[
      ["rollouts", "Rollouts"],
      ["compare", "Compare"],
    ].map(([page, title]) =>
      el(
        "a",
        { href: link({ page, ...source(state) }), "aria-current": page === current ? "page" : undefined },
        title,
      ),
    ),
  );
  document
    .getElementById("source")
    .replaceChildren(
      ...(current === "compare"
        ? []
        : sourceFields(runs, state, (next) => go({ page: "rollouts", ...next }))),
    );
  document.title = `${runs[state.run].name} · rlvr view`;
}

async function look(state, signal) {
  const journal = await get("journal", source(state), signal);
  const broken = Object.keys(journal.broken);
  const place = document.getElementById("state");
  place.hidden = state.page === "compare";
  place.className = broken.length ? "warning" : "";
  if (broken.length) place.textContent = `${broken.length} unreadable: ${broken[0].split("/").at(-1)}`;
  else if (journal.gathered < journal.files)
    place.textContent = `reading step files: ${count(journal.gathered)} of ${count(journal.files)}`;
  else place.textContent = `${count(journal.files)} ${journal.files === 1 ? "step" : "steps"}`;
  place.title = broken.map((file) => `${file}: ${journal.broken[file]}`).join("\n");
  const key = `${JSON.stringify(source(state))} ${journal.changes}`;
  if (changes !== null && changes !== key && changes.startsWith(JSON.stringify(source(state)))) {
    dispatchEvent(new CustomEvent("rollouts-changed"));
  }
  changes = key;
  const wait = journal.gathered < journal.files ? LOOK / 6 : LOOK;
  setTimeout(() => !signal.aborted && look(state, signal).catch(() => lost(signal)), wait);
}

function lost(signal) {
  if (signal.aborted) return;
  const place = document.getElementById("state");
  place.className = "warning";
  place.textContent = "the server is gone; start rlvr view again and reload";
}

function fail(error) {
  main.replaceChildren(
    el("section", { class: "card error" }, el("h2", {}, "That did not work"), el("p", {}, error.message)),
  );
}

addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
  const search = document.querySelector("[data-search]");
  if (search) {
    event.preventDefault();
    search.focus();
  }
});
show();
