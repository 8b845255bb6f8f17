// Two runs, or two stages, side by side on the same problem.
import { get, go, link } from "./api.js";
import { badge, count, el, number, rendered, select } from "./dom.js";
import { sourceName } from "./rollout.js";
import { sourceFields } from "./source.js";

export async function compare({ main, state, runs, signal }) {
  const left = parse(state.left, runs, 0);
  const right = parse(state.right, runs, Math.min(1, runs.length - 1));
  const search = state.search ?? "";
  const asked = { ...left, other_run: right.run, other_stage: right.stage, other_kind: right.kind, search };
  const found = await get("problems", asked, signal);
  const chosen = await problemOf(state, found, asked, signal);
  const change = (patch) => go({ ...state, page: "compare", ...patch });
  const list = problemList(found, chosen, search, change);
  const page = el("div", { class: "page compare" }, list);
  const sides = [
    ["left", left, "A"],
    ["right", right, "B"],
  ].map(([name, of, letter]) => side(name, of, letter, chosen, { state, runs, change, signal }));
  page.append(
    el("div", { class: "sides" }, chosen ? problemCard(chosen) : null, ...(await Promise.all(sides))),
  );
  const typed = main.querySelector("[data-search]");
  const typing = typed && typed === document.activeElement;
  main.replaceChildren(page);
  if (typing) focusEnd(page.querySelector("[data-search]"));
}

function focusEnd(input) {
  input.focus();
  input.setSelectionRange?.(input.value.length, input.value.length);
}

function parse(name, runs, otherwise) {
  const [run, stage, kind] = (name ?? "").split("/");
  const index = runs[run] ? Number(run) : otherwise;
  const stages = runs[index].stages.filter(({ kinds }) => kinds.length);
  const of =
    stages.find((one) => one.name === stage) ??
    stages.findLast(({ kinds }) => kinds.includes("train")) ??
    stages.at(-1);
  return { run: index, stage: of.name, kind: of.kinds.includes(kind) ? kind : of.kinds[0] };
}

// The chosen problem may be outside the part of the list that is shown.
async function problemOf(state, found, asked, signal) {
  if (state.problem === undefined) return found.problems[0];
  const here = ({ problem_id }) => problem_id === state.problem;
  const shown = found.problems.find(here);
  if (shown) return shown;
  return (await get("problems", { ...asked, search: state.problem }, signal)).problems.find(here);
}

function problemList(found, chosen, search, change) {
  let waiting;
  const input = el("input", {
    type: "search",
    value: search,
    placeholder: "search problems",
    "aria-label": "Search problems",
    "data-search": "",
  });
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => change({ search: input.value || undefined }), 350);
  });
  const line = ({ problem_id, left, right }) =>
    el(
      "li",
      {},
      el(
        "button",
        {
          "aria-current": problem_id === chosen?.problem_id ? "true" : undefined,
          onclick: () => change({ problem: problem_id, left_step: undefined, right_step: undefined }),
          title: problem_id,
        },
        el("span", { class: "excerpt" }, left.problem),
        el("span", { class: "number" }, `${number(left.reward)} → ${number(right.reward)}`),
      ),
    );
  const shown = found.problems.length;
  const note =
    shown < found.count
      ? `${count(found.count)} problems of both, the first ${shown}`
      : `${count(found.count)} problems of both`;
  return el(
    "section",
    { class: "card problems" },
    el("h2", {}, "Problems"),
    input,
    el("p", { class: "hint" }, `${note}; mean reward of A → B`),
    el("ol", {}, found.problems.map(line)),
  );
}

function problemCard({ problem_id, left }) {
  return el(
    "section",
    { class: "card wide" },
    el("h2", {}, "Problem"),
    el("div", { class: "rendered" }, left.problem),
    el("p", { class: "hint" }, problem_id),
  );
}

async function side(name, of, letter, chosen, { state, runs, change, signal }) {
  const choose = (next) => {
    const whole = { ...of, ...next };
    change({
      [name]: sourceName({ run: whole.run, stage: next.stage ?? "", kind: next.kind ?? "" }),
      [`${name}_step`]: undefined,
    });
  };
  const head = el(
    "div",
    { class: "bar" },
    el("strong", { class: "letter" }, letter),
    ...sourceFields(runs, of, choose),
  );
  const card = el("section", { class: "card side", "aria-label": `Rollouts of ${letter}` }, head);
  if (!chosen) {
    card.append(el("p", { class: "nothing" }, "No problem is in both."));
    return card;
  }
  const { steps, reward, count: all } = chosen[name];
  const step = steps.includes(Number(state[`${name}_step`])) ? Number(state[`${name}_step`]) : steps[0];
  const pick = select(
    "Step",
    steps.map((one) => [String(one), String(one)]),
    String(step),
    (next) => change({ [`${name}_step`]: next }),
  );
  const rows = await get(
    "rollouts",
    { ...of, problem_id: chosen.problem_id, step_min: step, step_max: step, limit: 100 },
    signal,
  );
  head.append(pick);
  card.append(
    el(
      "p",
      { class: "totals" },
      `step ${step}: ${rows.count} rollouts, mean reward ${number(rows.reward)}; all steps: ${count(all)}, ${number(reward)}`,
    ),
    ...rows.rollouts.map((row, i) => answer(row, of, i === 0, signal)),
  );
  return card;
}

function answer(row, of, open, signal) {
  const body = el("div", {}, row.text);
  const box = el(
    "details",
    {},
    el(
      "summary",
      {},
      badge(row.status),
      el("span", { class: "number" }, number(row.reward)),
      el("span", { class: "excerpt" }, row.text),
    ),
    body,
  );
  const fill = async () => {
    if (!box.open || box.filled) return;
    box.filled = true;
    const found = await get("rollout", { ...of, step: row.step, row: row.row }, signal);
    body.replaceChildren(
      rendered(found.html),
      el(
        "p",
        { class: "hint" },
        found.reason ?? "",
        " ",
        el(
          "a",
          { href: link({ page: "rollout", ...of, step: row.step, row: row.row }) },
          "tokens and verdict",
        ),
      ),
    );
  };
  box.addEventListener("toggle", () => fill().catch(() => (box.filled = false)));
  box.open = open;
  return box;
}
