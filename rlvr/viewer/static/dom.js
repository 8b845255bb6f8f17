// Elements, numbers and formulas. What a model wrote becomes text nodes, never markup.

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && name !== "list" && name !== "form") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value); // an infinity
  if (value === 0) return "0";
  if (Number.isInteger(value) && Math.abs(value) < 1e9) return value.toLocaleString("en").replace("-", "−");
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2).replace("-", "−");
  return value
    .toPrecision(digits)
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "")
    .replace("-", "−");
}

export const count = (value) => value.toLocaleString("en");
export const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)}%`);
export const milliseconds = (value) => (value === null ? "–" : `${number(1000 * value)} ms`);

export function badge(status) {
  return el("span", { class: `badge ${status ?? "none"}` }, status ?? "no verdict");
}

export function select(label, options, chosen, onchange) {
  const control = el("select", { onchange: () => onchange(control.value) });
  for (const [value, text] of options)
    control.append(el("option", { value, selected: value === chosen }, text));
  control.value = chosen;
  return el("label", { class: "field" }, el("span", {}, label), control);
}

// The server's HTML has text, MathML and one class. It is parsed into a document that runs nothing, and
// only what is named here is built from it.
const MATHML = "http://www.w3.org/1998/Math/MathML";
const ELEMENTS = new Set(
  (
    "math mrow mi mn mo ms mtext mspace mfrac msqrt mroot mstyle mpadded mphantom msub msup msubsup munder mover " +
    "munderover mmultiscripts mprescripts mtable mtr mtd"
  ).split(" "),
);
const ATTRIBUTES = new Set(
  (
    "display displaystyle scriptlevel mathvariant stretchy fence form separator symmetric largeop movablelimits " +
    "accent accentunder columnalign columnlines rowlines rowspan columnspan width height depth lspace rspace " +
    "voffset minsize maxsize linethickness columnspacing rowspacing"
  ).split(" "),
);

export function rendered(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html");
  return el("div", { class: "rendered" }, ...build(parsed.body.childNodes));
}

function build(nodes) {
  return [...nodes].map((node) => {
    if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.data);
    if (node.namespaceURI !== MATHML || !ELEMENTS.has(node.localName))
      return document.createTextNode(node.outerHTML ?? "");
    const copy = document.createElementNS(MATHML, node.localName);
    for (const { name, value } of node.attributes) if (ATTRIBUTES.has(name)) copy.setAttribute(name, value);
    if (node.getAttribute("class") === "boxed") copy.setAttribute("class", "boxed");
    copy.append(...build(node.childNodes));
    return copy;
  });
}
