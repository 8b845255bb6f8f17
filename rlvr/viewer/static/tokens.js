// Tokens coloured by a quantity, and the numbers of one.
import { el, number, select } from "./dom.js";

// How the numbers of a quantity become one of seven shades: signed around 0, or from 0 up. `least` is the
// smallest range, so that rounding errors do not shine.
export const QUANTITIES = {
  advantage: { title: "Advantage", signed: true, least: 1e-6 },
  logprob: { title: "Log-probability (sampler)", least: 1, of: (value) => -value, ends: ["0", "−"] },
  gap: { title: "Log-probability gap", signed: true, least: 0.01 },
  entropy: { title: "Entropy", least: 0.1 },
  weight: {
    title: "Importance weight",
    signed: true,
    least: 0.01,
    of: Math.log,
    ends: ["÷", "×"],
    end: Math.exp,
  },
  staleness: { title: "Staleness", least: 1 },
  role: { title: "What the update made of it" },
};
const SHADES = 7;
const NUMBERS = [
  ["logprob", "log-probability, sampler"],
  ["learner", "log-probability, learner"],
  ["gap", "gap (learner − sampler)"],
  ["weight", "importance weight"],
  ["correction", "weight of the correction"],
  ["entropy", "entropy, nats"],
  ["advantage", "advantage"],
  ["version", "policy version"],
  ["staleness", "staleness, versions"],
];

export function tokenView(tokens, colour, at, choose, recolour) {
  const size = tokens.id.length;
  const box = el("div", {
    class: "tokens",
    tabindex: "0",
    role: "listbox",
    "aria-label": "Tokens; arrow keys move",
  });
  const shade = shading(tokens, colour);
  const spans = tokens.id.map((id, i) => tokenSpan(tokens, i, shade(i)));
  box.append(...spans);
  const mark = (place) => {
    box.querySelector(".chosen")?.classList.remove("chosen");
    if (place === undefined || !spans[place]) return;
    spans[place].classList.add("chosen");
    spans[place].scrollIntoView({ block: "nearest" });
  };
  let chosen = at;
  const pick = (place) => {
    chosen = Math.max(0, Math.min(size - 1, place));
    mark(chosen);
    choose(chosen);
  };
  box.addEventListener("click", (event) => {
    const span = event.target.closest(".token");
    if (span) pick(spans.indexOf(span));
  });
  box.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 10, ArrowUp: -10, Home: -size, End: size }[
      event.key
    ];
    if (!by) return;
    event.preventDefault();
    pick(chosen === undefined ? 0 : chosen + by);
  });
  queueMicrotask(() => mark(chosen));
  const pickColour = select(
    "Colour by",
    Object.entries(QUANTITIES).map(([name, { title }]) => [name, title]),
    colour,
    recolour,
  );
  return el("div", {}, el("div", { class: "bar" }, pickColour, legend(tokens, colour)), box);
}

function tokenSpan(tokens, i, shade) {
  const text = tokens.text ? tokens.text[i] : String(tokens.id[i]);
  const kind = ["prompt", "inserted"].includes(tokens.role[i]) ? " given" : "";
  const shown = text.replaceAll("\n", "⏎\n");
  return el(
    "span",
    { class: `token${kind}${tokens.text ? "" : " id"} ${shade}`, role: "option" },
    shown || "·",
  );
}

function finite(value) {
  return typeof value === "number" && Number.isFinite(value);
}

function shading(tokens, colour) {
  if (colour === "role") return (i) => `role-${roleClass(tokens.role[i])}`;
  const { signed, of = (value) => value } = QUANTITIES[colour];
  const largest = range(tokens, colour);
  return (i) => {
    const raw = tokens[colour][i];
    const value = raw === null ? null : of(raw);
    if (!finite(value)) return raw === null ? "unknown" : "endless";
    const shade = Math.round((SHADES * Math.abs(value)) / largest);
    if (!shade) return "";
    return `${signed && value < 0 ? "minus" : "plus"}-${Math.min(SHADES, shade)}`;
  };
}

function range(tokens, colour) {
  const { of = (value) => value, least } = QUANTITIES[colour];
  return tokens[colour].reduce((largest, raw) => {
    const value = raw === null ? null : of(raw);
    return finite(value) ? Math.max(largest, Math.abs(value)) : largest;
  }, least);
}

function roleClass(role) {
  if (role.startsWith("left out")) return "out";
  if (role.startsWith("masked")) return "masked";
  return ["prompt", "inserted", "trained"].includes(role) ? role : "other";
}

function legend(tokens, colour) {
  if (colour === "role") {
    const roles = [...new Set(tokens.role)];
    return el(
      "span",
      { class: "legend" },
      roles.map((role) => el("span", { class: `token role-${roleClass(role)}` }, role)),
    );
  }
  const { signed, ends, end = (value) => value } = QUANTITIES[colour];
  if (!tokens[colour].some((value) => value !== null)) return el("span", { class: "legend" }, "not recorded");
  const largest = range(tokens, colour);
  const swatches = [];
  for (let i = signed ? -SHADES : 0; i <= SHADES; i++)
    swatches.push(el("i", { class: i < 0 ? `minus-${-i}` : i ? `plus-${i}` : "" }));
  const top = number(end(largest), 2);
  const low = signed ? (ends ? number(end(-largest), 2) : `−${top}`) : "0";
  const high = colour === "logprob" ? `−${top}` : top;
  return el("span", { class: "legend" }, low, el("span", { class: "scale" }, swatches), high);
}

export function tokenCard(tokens, i) {
  if (i === undefined)
    return el("p", { class: "hint" }, "Click a token, or move with the arrow keys, to see its numbers.");
  const row = (name, value) => [el("dt", {}, name), el("dd", {}, value)];
  return el(
    "dl",
    { class: "numbers", id: "token" },
    row("place", `${i + 1} of ${tokens.id.length}`),
    row("text", el("code", {}, tokens.text ? JSON.stringify(tokens.text[i]) : "no tokenizer found")),
    row("id", String(tokens.id[i])),
    row("update", tokens.role[i]),
    NUMBERS.map(([name, title]) => row(title, number(tokens[name][i], 5))),
  );
}
