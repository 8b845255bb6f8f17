// The first page: a curve, filters, and the rollouts or groups that pass them.
import { get, go, link, source } from "./api.js";
import { curve } from "./chart.js";
import { badge, count, el, milliseconds, number, percent, select } from "./dom.js";

const PAGE = 50;
const COLUMNS = [
  ["step", "step", "Step"],
  [null, "place", "Group"],
  [null, "problem", "Problem"],
  [null, "text", "Answer"],
  [null, "status", "Verdict"],
  ["reward", "number", "Reward"],
  ["advantage", "number", "Advantage"],
  ["length", "number", "Length"],
  [null, "finish", "Finish"],
  ["gap", "number", "Largest gap"],
  ["seconds", "number", "Check"],
  [null, "left-out", "Left out"],
];
const FILTERS = [
  "step_min",
  "step_max",
  "group",
  "problem",
  "text",
  "status",
  "finish",
  "left_out",
  "part",
  "part_min",
  "part_max",
];
let built = null; // what of this page outlives a change of the filters
let refresh = () => {};
addEventListener("rollouts-changed", () => refresh());

export async function rollouts({ main, state, signal }) {
  const key = JSON.stringify(source(state));
  if (built?.key !== key || !main.contains(built.root)) {
    const [shown, journal] = await Promise.all([
      get("curve", { ...source(state), metric: state.metric }, signal),
      get("journal", source(state), signal),
    ]);
    built = {
      key,
      shown,
      journal,
      chart: el("section", { class: "card" }),
      form: el("form", { class: "card filters" }),
      results: el("section", { class: "card results", "aria-live": "polite" }),
    };
    built.root = el("div", { class: "page" }, built.chart, built.form, built.results);
    main.replaceChildren(built.root);
  } else if (state.metric && state.metric !== built.shown.metric) {
    built.shown = await get("curve", { ...source(state), metric: state.metric }, signal);
  }
  drawChart(state);
  drawFilters(state);
  await drawResults(state, signal);
  refresh = async () => {
    if (signal.aborted) return;
    const [shown, journal] = await Promise.all([
      get("curve", { ...source(state), metric: state.metric }, signal),
      get("journal", source(state), signal),
    ]);
    Object.assign(built, { shown, journal });
    drawChart(state);
    if (!built.form.contains(document.activeElement)) drawFilters(state);
    if (!built.results.contains(document.activeElement)) await drawResults(state, signal);
  };
}

function change(state, patch) {
  go({ ...state, page: "rollouts", from: undefined, ...patch });
}

function drawChart(state) {
  const { names, metric } = built.shown;
  const pick = select(
    "Metric",
    names.map((name) => [name, name]),
    metric,
    (name) => change(state, { metric: name }),
  );
  const open = (step) => change(state, { step_min: step, step_max: step, group: undefined, view: "groups" });
  const hint = el("span", { class: "hint" }, "A click opens a step.");
  built.chart.replaceChildren(
    el("div", { class: "bar" }, pick, hint),
    curve(built.shown, Math.max(320, built.chart.clientWidth - 30), [state.step_min, state.step_max], open),
  );
}

// The fields are made anew only when there is something new to choose from, and never under someone's hands.
function drawFilters(state) {
  const { form, journal } = built;
  built.state = state;
  if (form.offered !== journal && !form.contains(document.activeElement)) {
    form.replaceChildren(...fields(journal));
    form.offered = journal;
    listen(form);
  }
  for (const name of FILTERS) {
    const field = form.elements[name];
    if (field !== document.activeElement) field.value = state[name] ?? "";
  }
}

function fields({ status, finish, left_out, parts }) {
  const field = (name, label, attributes) => {
    const input = el("input", { name, autocomplete: "off", spellcheck: false, ...attributes });
    return el("label", { class: "field" }, el("span", {}, label), input);
  };
  const choice = (name, label, any, values, missing) => {
    const options = values.map((value) => [value ?? "none", value ?? missing]);
    options.sort(([a], [b]) => a.localeCompare(b));
    const control = select(label, [["", any], ...options], "", submit);
    control.querySelector("select").name = name;
    return control;
  };
  const whole = { type: "number", min: 0 };
  const numeric = { type: "number", step: "any" };
  return [
    field("text", "Answer contains", { type: "search", "data-search": "", placeholder: "press / to search" }),
    field("problem", "Problem contains", { type: "search" }),
    field("step_min", "Steps from", whole),
    field("step_max", "to", whole),
    field("group", "Group", whole),
    choice("status", "Verdict", "any", status ?? [], "no verdict"),
    choice("finish", "Finish", "any", finish ?? [], "none"),
    choice("left_out", "Left out", "any", left_out ?? [], "no"),
    choice("part", "Reward", "whole", parts),
    field("part_min", "at least", numeric),
    field("part_max", "at most", numeric),
    el("button", { type: "button", onclick: clear }, "Clear"),
  ];
}

function submit() {
  const { form, state } = built;
  if (!form.isConnected) return; // typed just before the page was left
  change(state, Object.fromEntries(FILTERS.map((name) => [name, form.elements[name].value || undefined])));
}

function clear() {
  const { metric, view, sort, order } = built.state;
  change({ ...source(built.state), metric, view, sort, order }, {});
}

function listen(form) {
  form.onsubmit = (event) => event.preventDefault();
  form.onchange = (event) => event.target.matches("input") && submit();
  form.oninput = (event) => {
    clearTimeout(form.waiting);
    if (event.target.type === "search") form.waiting = setTimeout(submit, 350);
  };
}

async function drawResults(state, signal) {
  const offset = Number(state.from ?? 0);
  const asked = {
    ...source(state),
    ...Object.fromEntries(FILTERS.map((name) => [name, state[name]])),
    offset,
    limit: PAGE,
  };
  const groups = state.view === "groups";
  const descending = state.order !== "up";
  const found = groups
    ? await get("groups", asked, signal)
    : await get("rollouts", { ...asked, sort: state.sort, descending }, signal);
  const tab = (view, title) =>
    el(
      "button",
      {
        class: "tab",
        "aria-pressed": String(groups === (view === "groups")),
        onclick: () => change(state, { view }),
      },
      title,
    );
  const bar = el(
    "div",
    { class: "bar" },
    tab(undefined, "Rollouts"),
    tab("groups", "Groups"),
    el("span", { class: "totals" }, totals(found, groups)),
    pager(state, found.count, offset),
  );
  built.results.replaceChildren(
    bar,
    found.count
      ? groups
        ? groupTable(found.groups, state)
        : rolloutTable(found.rollouts, state)
      : el("p", { class: "nothing" }, "No rollout passes these filters."),
  );
}

function totals(found, groups) {
  if (groups) return `${count(found.count)} groups`;
  if (!found.count) return "0 rollouts";
  return `${count(found.count)} rollouts · mean reward ${number(found.reward)} · ${percent(found.correct)} correct`;
}

function pager(state, total, offset) {
  const move = (title, label, to, possible) =>
    el(
      "button",
      { "aria-label": label, disabled: !possible, onclick: () => change(state, { from: to || undefined }) },
      title,
    );
  const last = Math.min(total, offset + PAGE);
  return el(
    "span",
    { class: "pager" },
    move("←", "Previous page", Math.max(0, offset - PAGE), offset > 0),
    total ? `${count(offset + 1)}–${count(last)}` : "",
    move("→", "Next page", offset + PAGE, last < total),
  );
}

function rolloutTable(rows, state) {
  const body = el(
    "tbody",
    {},
    rows.map((row) => rolloutRow(row, state)),
  );
  return table(
    COLUMNS.map(([sort, kind, title]) => heading(sort, kind, title, state)),
    body,
  );
}

// Arrow keys go from row to row; the link in each is what Tab and Enter reach.
function table(headings, body) {
  body.addEventListener("keydown", (event) => {
    const way = {
      ArrowDown: "nextElementSibling",
      ArrowUp: "previousElementSibling",
      j: "nextElementSibling",
      k: "previousElementSibling",
    }[event.key];
    const row = way && event.target.closest("tr")[way];
    if (!row) return;
    event.preventDefault();
    row.querySelector("a").focus();
  });
  body.addEventListener("click", (event) => {
    if (event.target.closest("a") || String(getSelection())) return;
    const row = event.target.closest("tr");
    if (row) location.hash = row.querySelector("a").hash;
  });
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, headings)), body));
}

function heading(sort, kind, title, state) {
  if (!sort) return el("th", { class: kind, scope: "col" }, title);
  const active = (state.sort ?? "step") === sort;
  const up = state.order === "up";
  const press = () => change(state, { sort, order: active && !up ? "up" : undefined });
  return el(
    "th",
    { class: kind, scope: "col", "aria-sort": active ? (up ? "ascending" : "descending") : undefined },
    el("button", { onclick: press }, title, active ? (up ? " ↑" : " ↓") : ""),
  );
}

function rolloutRow(row, state) {
  const cell = (kind, ...content) => el("td", { class: kind }, ...content);
  const address = link({
    page: "rollout",
    ...source(state),
    step: row.step,
    row: row.row,
    colour: state.colour,
  });
  return el(
    "tr",
    {},
    cell(
      "step",
      el(
        "a",
        { href: address, "aria-label": `Step ${row.step}, group ${row.group}, sample ${row.sample}` },
        String(row.step),
      ),
    ),
    cell("place", `${row.group}.${row.sample}`),
    cell("problem", el("div", { class: "excerpt", title: row.problem_id }, row.problem)),
    cell("text", el("div", { class: "excerpt" }, row.text)),
    cell("status", badge(row.status)),
    cell("number", number(row.reward)),
    cell("number", number(row.advantage)),
    cell("number", number(row.length)),
    cell("finish", row.finish_reason),
    cell("number", number(row.gap)),
    cell("number", milliseconds(row.seconds)),
    cell("left-out", row.left_out ?? ""),
  );
}

function groupTable(groups, state) {
  const headings = [
    "Step",
    "Group",
    "Problem",
    "Rollouts",
    "Mean reward",
    "Correct",
    "Mean length",
    "Largest gap",
  ];
  const numbers = (i) => (i > 3 ? "number" : "");
  const body = el(
    "tbody",
    {},
    groups.map((group) => groupRow(group, state)),
  );
  return table(
    headings.map((title, i) => el("th", { scope: "col", class: numbers(i) }, title)),
    body,
  );
}

function groupRow(group, state) {
  const one = {
    ...source(state),
    metric: state.metric,
    step_min: group.step,
    step_max: group.step,
    group: group.group,
  };
  const address = link({ page: "rollouts", ...one });
  const pips = group.rollouts.map(({ row, status, reward }) =>
    el("a", {
      class: `pip ${status ?? "none"}`,
      href: link({ page: "rollout", ...source(state), step: group.step, row }),
      title: `${status ?? "no verdict"}, reward ${number(reward)}`,
      "aria-label": `Rollout ${row}: ${status ?? "no verdict"}`,
    }),
  );
  return el(
    "tr",
    {},
    el(
      "td",
      { class: "step" },
      el(
        "a",
        { href: address, "aria-label": `Group ${group.group} of step ${group.step}` },
        String(group.step),
      ),
    ),
    el("td", {}, String(group.group)),
    el("td", { class: "problem" }, el("div", { class: "excerpt", title: group.problem_id }, group.problem)),
    el("td", { class: "pips" }, pips),
    el("td", { class: "number" }, number(group.reward)),
    el("td", { class: "number" }, percent(group.correct)),
    el("td", { class: "number" }, number(group.length)),
    el("td", { class: "number" }, number(group.gap)),
  );
}
