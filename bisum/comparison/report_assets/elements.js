"use strict";
// Elements and numbers. Data reaches the page only as text nodes and attributes, never as markup.

const MISSING = "–";

/** Create an element; null and false attributes are omitted, and `on...` attributes become listeners. */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined) node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Format a number with fixed decimals and a typographic minus sign. */
function fixed(value, digits, signed = false) {
  if (!isNumber(value)) return MISSING;
  const size = Math.abs(value).toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  if (!/[1-9]/.test(size)) return size;
  return (value < 0 ? "−" : signed ? "+" : "") + size;
}

const count = (value) => (isNumber(value) ? value.toLocaleString("en-US") : MISSING);

const plural = (value, one, many) => `${count(value)} ${value === 1 ? one : many}`;

const compact = (value) =>
  isNumber(value) ? value.toLocaleString("en-US", { notation: "compact", maximumFractionDigits: 1 }) : MISSING;

const decimals = (score) => (score?.range?.[1] === 100 ? 1 : 2);

function probability(value) {
  if (!isNumber(value)) return MISSING;
  return value < 0.001 ? "<0.001" : value.toFixed(3);
}

const interval = (low, high, digits, signed = false) =>
  isNumber(low) && isNumber(high) ? `${fixed(low, digits, signed)} to ${fixed(high, digits, signed)}` : "";

/** Format a configuration value as text; fractions have at most six digits. */
function asText(value) {
  if (value === null || value === undefined) return MISSING;
  if (isNumber(value) && !Number.isInteger(value)) {
    const rounded = Number(value.toPrecision(6));
    return Math.abs(rounded) < 1e-4 ? rounded.toExponential() : String(rounded);
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** Return a text on one line, truncated to a number of letters. */
function short(text, letters) {
  const start = String(text ?? "")
    .slice(0, 4 * letters)
    .replace(/\s+/g, " ")
    .trim();
  const all = Array.from(start);
  return all.length > letters ? `${all.slice(0, letters - 1).join("")}…` : start;
}

/** Isolate a text's direction from its surroundings. */
const isolated = (text) => `\u2068${text}\u2069`;

/** Return the shortest distinct endings of dotted keys: `trainer.epochs` becomes `epochs`. */
function shortKeys(keys) {
  const ending = (key, parts) => key.split(".").slice(-parts).join(".");
  return new Map(
    keys.map((key) => {
      const length = key.split(".").length;
      let parts = 1;
      while (parts < length && keys.some((other) => other !== key && ending(other, parts) === ending(key, parts))) {
        parts += 1;
      }
      return [key, ending(key, parts)];
    }),
  );
}

/** Delay a function until no call has arrived for some milliseconds. */
function debounced(action, milliseconds) {
  let timer = null;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

/** Create a labelled select; options are pairs of value and text. */
function select(label, options, value, onchange) {
  const control = element("select", { onchange: () => onchange(control.value) });
  control.append(...options.map(([of, text]) => element("option", { value: of, selected: of === value }, text)));
  return element("label", { class: "control" }, element("span", {}, label), control);
}
