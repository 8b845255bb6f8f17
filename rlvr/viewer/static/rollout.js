// One rollout: its tokens, its text, its verdict and its group.
import { get, go, link, source } from "./api.js";
import { badge, el, milliseconds, number, rendered } from "./dom.js";
import { QUANTITIES, tokenCard, tokenView } from "./tokens.js";

export async function rollout({ main, state, runs, signal }) {
  const { step, row } = state;
  const found = await get("rollout", { ...source(state), step, row }, signal);
  const colour = QUANTITIES[state.colour] ? state.colour : firstColour(found.tokens);
  const token = state.token === undefined ? undefined : Number(state.token);
  const numbers = el("div", {}, tokenCard(found.tokens, token));
  const choose = (place) => {
    numbers.replaceChildren(tokenCard(found.tokens, place));
    history.replaceState(null, "", link({ ...state, colour, token: place }));
    state = { ...state, token: place };
  };
  const recolour = (name) => go({ ...state, colour: name }, true);
  const left = el(
    "div",
    { class: "left" },
    card("Tokens", tokenView(found.tokens, colour, token, choose, recolour)),
    card("Answer", rendered(found.html)),
    card(
      "Problem",
      rendered(found.problem_html),
      found.solution === null ? null : details("Reference solution", found.solution),
    ),
  );
  const right = el(
    "aside",
    {},
    card("Token", numbers),
    card("Verdict", verdict(found)),
    card(`Group ${found.group}`, more(found), mates(found.mates, state)),
    card("Rollout", facts(found, state, runs)),
  );
  main.replaceChildren(
    el("div", { class: "page" }, crumbs(state, found, runs), el("div", { class: "two" }, left, right)),
  );
  keys(found.mates, state, signal);
}

function firstColour(tokens) {
  return ["advantage", "logprob"].find((name) => tokens[name].some((value) => value)) ?? "role";
}

function card(title, ...content) {
  return el("section", { class: "card" }, el("h2", {}, title), ...content);
}

function details(title, text) {
  return el("details", {}, el("summary", {}, title), el("pre", {}, text));
}

function crumbs(state, found, runs) {
  const { step } = state;
  const at = (title, more) => el("a", { href: link({ page: "rollouts", ...source(state), ...more }) }, title);
  const ofStep = { step_min: step, step_max: step };
  return el(
    "nav",
    { class: "crumbs", "aria-label": "Where this is" },
    at(`${runs[state.run].name} · ${state.stage}`, {}),
    at(`step ${step}`, { ...ofStep, view: "groups" }),
    at(`group ${found.group}`, { ...ofStep, group: found.group }),
    el("strong", {}, `rollout ${found.sample}`),
    el("span", { class: "hint" }, "[ and ] go through the group"),
  );
}

function pairs(rows) {
  return el(
    "dl",
    { class: "numbers" },
    rows.filter((row) => row).map(([name, value]) => [el("dt", {}, name), el("dd", {}, value ?? "–")]),
  );
}

function verdict(found) {
  const parts = Object.entries(found.parts).map(([name, value]) => [name, number(value)]);
  return el(
    "div",
    {},
    el("p", { class: "verdict" }, badge(found.status), el("strong", {}, `reward ${number(found.reward)}`)),
    pairs([
      ...parts,
      ["reason", found.reason],
      ["extracted", found.extracted === null ? null : el("code", {}, found.extracted)],
      ["reference answer", el("code", {}, found.answer)],
      ["rule", found.rule],
      found.true_steps !== null && [
        "steps",
        found.true_steps ? "all true, and lead to the answer" : "not all true, or do not lead to the answer",
      ],
      ["check", milliseconds(found.check_seconds)],
    ]),
  );
}

function more({ mates, group_size: size }) {
  if (mates.length === size) return null;
  return el("p", { class: "hint" }, `The first ${mates.length} of ${size} rollouts.`);
}

function mates(rows, state) {
  const line = (mate) =>
    el(
      "li",
      { class: String(mate.row) === String(state.row) ? "here" : "" },
      el(
        "a",
        { href: link({ ...state, row: mate.row, token: undefined }), "aria-label": `Rollout ${mate.sample}` },
        String(mate.sample),
      ),
      badge(mate.status),
      el("span", { class: "number" }, number(mate.reward)),
      el("span", { class: "number" }, `${mate.length} tokens`),
      el("code", { class: "excerpt" }, mate.extracted ?? ""),
    );
  return el("ol", { class: "mates" }, rows.map(line));
}

function facts(found, state, runs) {
  const rows = [
    ["problem", found.problem_id],
    ["finish", found.finish_reason],
    ["temperature", number(found.temperature)],
    ["mean advantage", number(found.advantage)],
    ["left out", found.left_out ?? "no"],
    ["seed", found.seed],
    ...Object.entries(found.columns).map(([name, value]) => [
      name,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  ];
  const address = link({
    page: "compare",
    ...source(state),
    left: sourceName(state),
    right: sourceName({ ...state, run: runs.length > 1 ? (state.run + 1) % runs.length : state.run }),
    problem: found.problem_id,
  });
  return el("div", {}, pairs(rows), el("a", { class: "button", href: address }, "Compare on this problem"));
}

export function sourceName({ run, stage, kind }) {
  return [run, stage, kind].join("/");
}

function keys(rows, state, signal) {
  const here = rows.findIndex((mate) => String(mate.row) === String(state.row));
  addEventListener(
    "keydown",
    (event) => {
      const by = { "[": -1, "]": 1 }[event.key];
      if (!by || event.target.matches("input, select, textarea")) return;
      const mate = rows[here + by];
      if (mate) go({ ...state, row: mate.row, token: undefined });
    },
    { signal },
  );
}
