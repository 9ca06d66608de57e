"use strict";
// Shared parts of the charts. Colors are CSS variables, so they follow the theme.

const DASHES = ["none", "9,5", "3,3", "12,3,3,3", "6,6", "2,5", "9,3,2,3,2,3"];

/** Redraw functions by figure. */
const redraws = new WeakMap();

/** Create a figure whose chart is redrawn when its width changes; `draw(width)` returns an SVG element. */
function chart(label, draw, { note = null, above = null, least = 260 } = {}) {
  const frame = element("div", {
    class: "chart",
    tabindex: least > 260 ? 0 : null,
    role: "region",
    "aria-label": label,
  });
  const width = () => Math.max(Math.floor(frame.clientWidth), least);
  let drawn = 0;
  const redraw = () => {
    drawn = width();
    frame.replaceChildren(draw(drawn));
  };
  const resized = () => {
    if (frame.clientWidth && width() !== drawn) redraw();
  };
  new ResizeObserver(debounced(resized, 50)).observe(frame);
  const figure = element("figure", {}, above, frame, note ? element("figcaption", {}, note) : null);
  redraws.set(figure, redraw);
  return figure;
}

/** Create a chart of a few items with a button to show all; `draw(width, items)` returns an SVG element. */
function growingChart(label, what, few, all, draw, options = {}) {
  let shown = few;
  const figure = chart(label, (width) => draw(width, shown), options);
  if (few.length === all.length) return figure;
  const showAll = () => {
    shown = all;
    button.remove();
    redraws.get(figure)();
  };
  const button = element(
    "button",
    { type: "button", class: "more", onclick: showAll },
    `Show all ${count(all.length)} ${what}`,
  );
  figure.append(button);
  return figure;
}

function drawn(options) {
  return Plot.plot({ style: { fontSize: "12px", overflow: "visible" }, ...options });
}

/** Return the label of an axis of scores. */
function metricLabel(data) {
  const better = data.score?.higher_is_better === false ? "lower is better" : null;
  const notes = [data.language ? short(data.language, 20) : null, better].filter(Boolean);
  return `${short(data.by ?? "value", 40)}${notes.length ? ` (${notes.join(", ")})` : ""} →`;
}

/** Return the text of a tooltip: the system, then further lines. */
const tooltip = (system, ...lines) =>
  [`${system.number}  ${isolated(short(system.label, 120))}`, ...lines.filter(Boolean)].join("\n");

/** Return an interval and a dot for each item, which has a system, `y`, `value`, `low` and `high`. */
function intervalMarks(items, digits, facet = {}) {
  const common = { y: "y", ...facet };
  const bounded = items.filter((item) => isNumber(item.low) && isNumber(item.high));
  const solid = items.filter((item) => !item.system.is_baseline);
  const hollow = items.filter((item) => item.system.is_baseline);
  const color = (item) => item.system.color;
  const title = (item) =>
    tooltip(item.system, `${item.what}: ${fixed(item.value, digits)}`, interval(item.low, item.high, digits));
  return [
    Plot.ruleY(bounded, { x1: "low", x2: "high", stroke: color, strokeWidth: 2.5, ...common }),
    Plot.dot(solid, { x: "value", fill: color, symbol: (item) => item.system.symbol, r: 5, ...common }),
    Plot.dot(hollow, { x: "value", fill: "var(--panel)", stroke: color, strokeWidth: 2, r: 4.5, ...common }),
    Plot.tip(items, Plot.pointerY({ x: "value", title, ...common })),
  ];
}

/** Return the lines of all systems: grey ones at the bottom, dashed ones above, so that no line hides another. */
function lineMarks(points, options) {
  const prominent = [...new Set(points.map((point) => point.system))].filter((system) => system.prominent);
  const grey = points.filter((point) => !point.system.prominent);
  return [
    Plot.line(grey, {
      ...options,
      stroke: "var(--other)",
      strokeOpacity: Math.max(0.08, Math.min(0.5, 100 / grey.length)),
    }),
    ...prominent.map((system, place) =>
      Plot.line(
        points.filter((point) => point.system === system),
        { ...options, stroke: system.color, strokeDasharray: DASHES[place] },
      ),
    ),
  ];
}

/** Return a dashed line at each baseline's value. */
function baselineMarks(systems) {
  const lines = systems.filter((system) => system.is_baseline && isNumber(system.value));
  return [Plot.ruleX(lines, { x: "value", stroke: "var(--baseline)", strokeDasharray: "5,4" })];
}

const bounds = (of) => ({ value: of.value, low: of.low, high: of.high });

/** Return the first systems and all baselines. */
function shortened(systems, number) {
  const first = new Set(systems.filter((system) => !system.is_baseline).slice(0, number));
  return systems.filter((system) => system.is_baseline || first.has(system));
}
