// A curve over steps, in SVG: a click, or Enter, opens the step under the cursor.
import { number, svg } from "./dom.js";

const HEIGHT = 210;
const LEFT = 58;
const RIGHT = 14;
const TOP = 14;
const BOTTOM = 26;

// `width` is that of the place it goes to, in pixels, so that its letters keep their size.
export function curve({ steps, values, metric }, width, chosen, open) {
  const points = steps.map((step, i) => [step, values[i]]).filter(([, value]) => typeof value === "number");
  const root = svg("svg", {
    viewBox: `0 0 ${width} ${HEIGHT}`,
    class: "curve",
    tabindex: "0",
    role: "img",
    "aria-label": `${metric} over ${points.length} steps; arrow keys move, Enter opens a step`,
  });
  if (!points.length) {
    root.append(text(width / 2, HEIGHT / 2, `${metric} has no values`, "middle"));
    return root;
  }
  const x = scale(extent(points.map(([step]) => step)), LEFT, width - RIGHT);
  const y = scale(padded(extent(points.map(([, value]) => value))), HEIGHT - BOTTOM, TOP);
  axes(root, x, y, width - RIGHT);
  band(root, x, chosen, width - RIGHT);
  root.append(svg("path", { class: "line", d: path(points, x, y) }));
  if (points.length <= 60) {
    for (const [step, value] of points)
      root.append(svg("circle", { class: "dot", cx: x(step), cy: y(value), r: 2.5 }));
  }
  cursor(root, points, x, y, width, open);
  return root;
}

function extent(values) {
  return values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity],
  );
}

function padded([low, high]) {
  const pad = high > low ? 0.06 * (high - low) : Math.abs(high) * 0.1 || 1;
  return [low - pad, high + pad];
}

function scale([low, high], from, to) {
  const span = high - low || 1;
  const map = (value) => from + ((value - low) / span) * (to - from);
  map.ticks = ticks(low, high, 5);
  map.invert = (place) => low + ((place - from) / (to - from)) * span;
  return map;
}

function ticks(low, high, wanted) {
  if (high <= low) return [low];
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12) && found.length < 20; i++)
    found.push(i * step);
  return found.map((value) => Number(value.toPrecision(12)));
}

function axes(root, x, y, right) {
  for (const value of y.ticks) {
    root.append(svg("line", { class: "grid", x1: LEFT, x2: right, y1: y(value), y2: y(value) }));
    root.append(text(LEFT - 8, y(value) + 4, number(value), "end"));
  }
  for (const value of x.ticks.filter(Number.isInteger))
    root.append(text(x(value), HEIGHT - 8, number(value), "middle"));
}

function text(x, y, content, anchor) {
  const element = svg("text", { x, y, "text-anchor": anchor });
  element.textContent = content;
  return element;
}

function path(points, x, y) {
  return points
    .map(([step, value], i) => `${i ? "L" : "M"}${x(step).toFixed(1)},${y(value).toFixed(1)}`)
    .join("");
}

function band(root, x, [first, last], right) {
  if (first === undefined && last === undefined) return;
  const from = first === undefined ? LEFT : Math.max(LEFT, x(Number(first)));
  const to = last === undefined ? right : Math.min(right, x(Number(last)));
  const width = Math.max(3, to - from);
  root.append(
    svg("rect", {
      class: "band",
      x: from - (width === 3 ? 1.5 : 0),
      width,
      y: TOP,
      height: HEIGHT - TOP - BOTTOM,
    }),
  );
}

function cursor(root, points, x, y, width, open) {
  const mark = svg("g", { class: "cursor", visibility: "hidden" });
  const rule = svg("line", { y1: TOP, y2: HEIGHT - BOTTOM });
  const dot = svg("circle", { r: 4 });
  const label = text(0, TOP + 4, "", "start");
  mark.append(rule, dot, label);
  root.append(mark);
  let at = points.length - 1;
  const under = (event) => {
    const shown = root.getBoundingClientRect();
    return nearest(points, x.invert(((event.clientX - shown.left) / shown.width) * width));
  };
  const move = (place) => {
    at = Math.max(0, Math.min(points.length - 1, place));
    const [step, value] = points[at];
    const right = x(step) < width - 200;
    for (const name of ["x1", "x2"]) rule.setAttribute(name, x(step));
    dot.setAttribute("cx", x(step));
    dot.setAttribute("cy", y(value));
    label.setAttribute("x", x(step) + (right ? 8 : -8));
    label.setAttribute("text-anchor", right ? "start" : "end");
    label.textContent = `step ${step}: ${number(value, 4)}`;
    mark.setAttribute("visibility", "visible");
  };
  root.addEventListener("pointermove", (event) => {
    move(under(event));
  });
  root.addEventListener("pointerleave", () => mark.setAttribute("visibility", "hidden"));
  root.addEventListener("focus", () => move(at));
  root.addEventListener("blur", () => mark.setAttribute("visibility", "hidden"));
  root.addEventListener("click", (event) => {
    move(under(event));
    open(points[at][0]);
  });
  root.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10 }[event.key];
    if (by) move(at + by);
    else if (event.key === "Enter") open(points[at][0]);
    else return;
    event.preventDefault();
  });
}

function nearest(points, step) {
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < step) low = middle;
    else high = middle;
  }
  return step - points[low][0] < points[high][0] - step ? low : high;
}
