"use strict";
// Parallel coordinates: an axis per differing key and one for the score; a line per system.

const MOST_TICKS = 8;

/** Return an axis: its name, `place(value)` from 0 (bottom) to 1, and ticks as pairs of place and text. */
function axis(name, title, values, format = asText) {
  const present = values.filter((value) => value !== null && value !== undefined);
  const missing = present.length < values.length ? [[-0.12, "missing"]] : [];
  if (present.length && present.every(isNumber)) {
    const [least, most] = d3.extent(present);
    const log = least > 0 && most / least >= 10;
    const scale = (log ? d3.scaleLog() : d3.scaleLinear()).domain(
      least === most ? [least / 2, 2 * most || 1] : [least, most],
    );
    const exact = [...new Set(present)];
    const ends = [least, most].map((end) => Number(end.toPrecision(3)));
    const ticks = exact.length <= 5 ? exact : log ? [...ends, ...scale.ticks(3)] : scale.nice(5).ticks(5);
    const place = (value) => (isNumber(value) ? (least === most ? 0.5 : scale(value)) : -0.12);
    return {
      name,
      title: log ? `${title} (log scale)` : title,
      place,
      ticks: [...spaced(ticks.map((tick) => [place(tick), format(tick)])), ...missing],
    };
  }
  const named = [...new Set(present.map(asText))].sort((one, two) =>
    one.localeCompare(two, undefined, { numeric: true }),
  );
  const scale = d3.scalePoint(named, [0, 1]).padding(named.length === 1 ? 0.5 : 0);
  const place = (value) => (value === null || value === undefined ? -0.12 : scale(asText(value)));
  const step = Math.ceil(named.length / MOST_TICKS);
  const ticks = named.filter((_, number) => number % step === 0).map((text) => [scale(text), text]);
  return { name, title, place, ticks: [...ticks, ...missing] };
}

/** Drop ticks whose labels would overlap. */
function spaced(ticks) {
  const kept = [];
  for (const tick of [...ticks].sort((one, two) => one[0] - two[0])) {
    if (!kept.length || tick[0] - kept.at(-1)[0] >= 0.06) kept.push(tick);
  }
  return kept;
}

function parallelChart(data, systems) {
  const keys = (data.keys ?? []).filter((key) => {
    const differing = systems.filter((system) => !system.is_baseline).map((system) => asText(system.settings?.[key]));
    return new Set(differing).size >= 2;
  });
  const lines = systems.filter((system) => !system.is_baseline && isNumber(system.value));
  if (lines.length < 2 || !keys.length) return null;
  const digits = decimals(data.score);
  const names = shortKeys(data.keys);
  const axes = keys.map((key) =>
    axis(
      names.get(key),
      key,
      lines.map((system) => system.settings?.[key]),
    ),
  );
  axes.push(
    axis(
      data.by ?? "value",
      data.by ?? "value",
      lines.map((system) => system.value),
      (value) => fixed(value, digits),
    ),
  );
  const values = lines.map((system) => [...keys.map((key) => system.settings?.[key]), system.value]);
  const points = lines.flatMap((system, number) =>
    axes.map((of, place) => ({ system, place, y: of.place(values[number][place]) })),
  );
  const ticks = axes.flatMap((of, place) => of.ticks.map(([y, text]) => ({ place, y, text })));
  const lowest = Math.min(0, ...points.map((point) => point.y));
  const few = lines.every((system) => system.prominent);
  const shade = shades(
    lines.map((system) => system.value),
    data.score?.higher_is_better === false ? -1 : 1,
  );
  const color = (point) => (few ? point.system.color : shade(point.system.value));

  const path = { x: "place", y: "y", z: (point) => point.system.number, curve: "bump-x" };
  const draw = (width) => {
    const gap = (width - 90) / Math.max(axes.length - 1, 1);
    const letters = Math.max(8, Math.floor((gap - 14) / 7));
    return drawn({
      width,
      height: 340,
      marginLeft: 20,
      marginRight: 70,
      marginTop: 52,
      marginBottom: 20,
      ariaLabel: "Settings and score of each system",
      x: { domain: [0, axes.length - 1], axis: null },
      y: { domain: [lowest - 0.02, 1.02], axis: null },
      marks: [
        Plot.ruleX(axes, { x: (_, place) => place, stroke: "var(--muted)" }),
        ...(few
          ? lineMarks(points, { ...path, strokeWidth: 2.2 })
          : [Plot.line(points, { ...path, stroke: color, strokeOpacity: 0.7, strokeWidth: 1.3 })]),
        few
          ? Plot.dot(points, { x: "place", y: "y", fill: color, symbol: (point) => point.system.symbol, r: 4 })
          : null,
        Plot.text(ticks, {
          x: "place",
          y: "y",
          text: (tick) => short(tick.text, letters),
          textAnchor: "start",
          dx: 6,
          dy: -10,
          fill: "currentColor",
          stroke: "var(--panel)",
          strokeWidth: 4,
        }),
        // The first name starts at its axis, the last ends there, so that none is cut.
        ...axes.map((of, place) =>
          Plot.text([of], {
            x: () => place,
            text: (item) => short(item.name, letters + 2),
            title: (item) => item.title,
            frameAnchor: "top",
            dy: -34,
            dx: place ? 0 : -6,
            textAnchor: place ? "middle" : "start",
            fontWeight: 600,
          }),
        ),
        Plot.tip(
          points,
          Plot.pointer({
            x: "place",
            y: "y",
            title: (point) => tooltip(point.system, `${data.by ?? "value"} ${fixed(point.system.value, digits)}`),
          }),
        ),
      ],
    });
  };
  return chart("Settings and score", draw, {
    above: few ? legend(lines) : null,
    least: 110 * axes.length,
    note: [
      "One line per system.",
      data.score?.higher_is_better === false ? "Lower scores are better." : "",
      few ? "" : "Stronger colors mean better scores.",
    ].join(" "),
  });
}

/** Return a function that maps a value to its color, from faint for the worst to strong for the best. */
function shades(values, sign) {
  const sorted = values.map((value) => sign * value).sort((one, two) => one - two);
  return (value) => {
    const strength = Math.round(15 + (85 * d3.bisectLeft(sorted, sign * value)) / Math.max(sorted.length - 1, 1));
    return `color-mix(in srgb, var(--series-1) ${Math.min(strength, 100)}%, var(--panel))`;
  };
}
