"use strict";
// Charts of scores by system, epoch, language and, for two systems, bucket of rows.

const FEW_SYSTEMS = 20;
const FEW_LANGUAGES = 12;

function scoresChart(data, systems) {
  const digits = decimals(data.score);
  const valued = systems.filter((system) => isNumber(system.value));
  const few = valued.length > FEW_SYSTEMS + 5 ? shortened(valued, FEW_SYSTEMS) : valued;
  const draw = (width, shown) => {
    const wide = width >= 640;
    const items = shown.map((system) => ({
      system,
      what: short(data.by ?? "value", 40),
      y: system.number,
      ...bounds(system),
    }));
    const labels = new Map(
      shown.map((system) => [
        system.number,
        wide ? `${isolated(short(system.brief, 46))}  ${system.number}` : String(system.number),
      ]),
    );
    const above = wide
      ? []
      : [
          Plot.text(items, {
            y: "y",
            text: (item) => short(item.system.brief, 44),
            frameAnchor: "left",
            textAnchor: "start",
            dy: -13,
            fill: "var(--muted)",
            stroke: "var(--panel)",
            strokeWidth: 4,
          }),
        ];
    return drawn({
      width,
      height: 58 + shown.length * (wide ? 28 : 40),
      marginTop: 12,
      marginLeft: wide ? Math.min(360, 20 + 7 * Math.max(...Array.from(labels.values(), (label) => label.length))) : 34,
      marginRight: 20,
      marginBottom: 42,
      ariaLabel: `${data.by ?? "Value"} of each system with its interval`,
      x: { label: metricLabel(data), grid: true, nice: true, ticks: wide ? 8 : 5 },
      y: {
        type: "point",
        domain: shown.map((system) => system.number),
        tickFormat: (number) => labels.get(number),
        tickSize: 0,
        label: null,
        padding: 0.6,
      },
      marks: [...baselineMarks(shown), ...above, ...intervalMarks(items, digits)],
    });
  };
  const baseline = valued.some((system) => system.is_baseline);
  const note = `Dot: ${data.by ?? "value"}. Line: 95% interval.${baseline ? " Dashed: baseline." : ""}`;
  return growingChart("Scores with intervals", "systems", few, valued, draw, { note });
}

function curvesChart(data, group, systems) {
  const digits = decimals(data.score);
  const points = systems.flatMap((system) =>
    (system.curves ?? []).flatMap((curve, place) =>
      (curve.points ?? [])
        .filter(([epoch, value]) => isNumber(epoch) && isNumber(value))
        .map(([epoch, value]) => ({ system, curve, line: `${system.number} ${place}`, epoch, value })),
    ),
  );
  if (!points.length) return null;
  const having = systems.filter((system) => points.some((point) => point.system === system));
  const epochs = [...new Set(points.map((point) => point.epoch))];
  const baseline = isNumber(group.curve_baseline) ? [group.curve_baseline] : [];
  const marked = points.filter((point) => point.system.prominent || having.length <= FEW_SYSTEMS);
  const draw = (width) =>
    drawn({
      width,
      height: Math.round(Math.min(420, Math.max(260, width * 0.5))),
      marginRight: 24,
      marginTop: 26,
      marginBottom: 42,
      ariaLabel: `${data.by ?? "Value"} on the validation split after each epoch`,
      x: {
        label: "epoch →",
        nice: epochs.length > 20,
        ticks: epochs.length <= (width < 640 ? 6 : 12) ? epochs : width < 640 ? 5 : 10,
        tickFormat: (epoch) => String(Number(epoch.toFixed(2))),
        inset: 10,
      },
      y: { label: `↑ ${short(data.by ?? "value", 40)}, validation`, grid: true, nice: true },
      marks: [
        ...lineMarks(points, { x: "epoch", y: "value", z: "line", strokeWidth: 1.8 }),
        Plot.ruleY(baseline, { stroke: "var(--baseline)", strokeDasharray: "5,4", strokeWidth: 1.5 }),
        Plot.text(baseline, {
          y: (value) => value,
          text: (value) => `baseline ${fixed(value, digits)}`,
          frameAnchor: "right",
          textAnchor: "end",
          dy: -8,
          fill: "var(--baseline)",
          stroke: "var(--panel)",
          strokeWidth: 4,
        }),
        Plot.dot(marked, {
          x: "epoch",
          y: "value",
          fill: (point) => point.system.color,
          symbol: (point) => point.system.symbol,
          r: 4,
        }),
        Plot.tip(
          points,
          Plot.pointer({
            x: "epoch",
            y: "value",
            title: (point) =>
              tooltip(
                point.system,
                `seed ${asText(point.curve.seed)}, ${short(point.curve.run, 60)}`,
                `epoch ${Number(point.epoch.toFixed(2))}: ${fixed(point.value, digits)}`,
              ),
          }),
        ),
      ],
    });
  const prominent = having.filter((system) => system.prominent);
  return chart("Curves by epoch", draw, {
    above: legend(prominent, having.length - prominent.length),
    note: "One line per run; runs that differ only in the seed share a color.",
  });
}

function languagesChart(data, group, systems) {
  const digits = decimals(data.score);
  const valued = systems.filter((system) => Object.values(system.languages ?? {}).some((of) => isNumber(of?.value)));
  const shownSystems = shortened(valued, 7);
  const languages = [...new Set(shownSystems.flatMap((system) => Object.keys(system.languages)))];
  if (!languages.length) return null;
  const draw = (width, shown) => {
    const items = shown.flatMap((language) =>
      shownSystems
        .filter((system) => isNumber(system.languages[language]?.value))
        .map((system) => ({
          system,
          language,
          what: language,
          y: system.number,
          ...bounds(system.languages[language]),
        })),
    );
    const heading = (language) => {
      const rows =
        group.languages?.[language] ??
        items.find((item) => item.language === language)?.system.languages[language].rows;
      return `${short(language, 30)}${isNumber(rows) ? `, ${plural(rows, "row", "rows")}` : ""}`;
    };
    return drawn({
      width,
      height: 56 + shown.length * (34 + shownSystems.length * 21),
      marginTop: 26,
      marginLeft: 34,
      marginRight: 20,
      marginBottom: 42,
      ariaLabel: `${data.by ?? "Value"} by language and system`,
      x: { label: metricLabel(data), grid: true, nice: true, ticks: width < 640 ? 5 : 10 },
      y: { type: "point", domain: shownSystems.map((system) => system.number), tickSize: 0, label: null, padding: 0.7 },
      fy: { domain: shown, label: null, padding: 0.22, axis: null },
      marks: [
        Plot.frame({ stroke: "var(--line)" }),
        Plot.text(shown, {
          fy: (language) => language,
          text: heading,
          frameAnchor: "top-left",
          dy: -14,
          fontWeight: 600,
        }),
        ...intervalMarks(items, digits, { fy: "language" }),
      ],
    });
  };
  const omitted = valued.length - shownSystems.length;
  const note =
    omitted > 0
      ? `The seven best systems and the baselines; ${plural(omitted, "other is", "others are")} omitted.`
      : null;
  return growingChart("Scores by language", "languages", languages.slice(0, FEW_LANGUAGES), languages, draw, {
    above: legend(shownSystems),
    note,
  });
}

/** Draw the difference between two systems in each bucket. */
function whereChart(data, where) {
  const digits = decimals(data.score);
  const items = Object.entries(where.buckets ?? {}).flatMap(([dimension, buckets]) =>
    (buckets ?? [])
      .slice(0, 30)
      .filter((bucket) => isNumber(bucket.difference))
      .map((bucket, place) => ({ ...bucket, dimension, y: `${dimension} ${place}` })),
  );
  if (!items.length) return null;
  const itemOf = new Map(items.map((item) => [item.y, item]));
  const bounded = items.filter((item) => isNumber(item.low) && isNumber(item.high));
  const draw = (width) => {
    const wide = width >= 640;
    const first = items.filter((item, place) => item.dimension !== items[place - 1]?.dimension);
    // An empty slot before each dimension leaves room for its name.
    const domain = items.flatMap((item) => (first.includes(item) ? [`heading ${item.dimension}`, item.y] : [item.y]));
    return drawn({
      width,
      height: 50 + domain.length * 24,
      marginLeft: wide ? 190 : 116,
      marginRight: 20,
      marginTop: 6,
      marginBottom: 42,
      ariaLabel: `Difference between systems ${where.first} and ${where.second} in each bucket`,
      x: { label: `${where.first} minus ${where.second} →`, grid: true, nice: true, ticks: wide ? 8 : 4 },
      y: {
        type: "point",
        domain,
        tickSize: 0,
        label: null,
        padding: 0.5,
        tickFormat: (y) => (itemOf.has(y) ? short(itemOf.get(y).name ?? MISSING, wide ? 27 : 16) : ""),
      },
      marks: [
        Plot.ruleX([0], { stroke: "currentColor" }),
        Plot.text(first, {
          y: (item) => `heading ${item.dimension}`,
          text: (item) => short(item.dimension, 40),
          frameAnchor: "left",
          textAnchor: "start",
          dx: wide ? -184 : -112,
          fontWeight: 600,
          fill: "currentColor",
          stroke: "var(--panel)",
          strokeWidth: 4,
        }),
        Plot.ruleY(bounded, { y: "y", x1: "low", x2: "high", stroke: "currentColor", strokeWidth: 2 }),
        Plot.dot(items, { y: "y", x: "difference", fill: "currentColor", r: 4.5 }),
        Plot.tip(
          items,
          Plot.pointerY({
            y: "y",
            x: "difference",
            title: (item) =>
              [
                `${item.dimension}: ${short(item.name, 80)}`,
                `${fixed(item.difference, digits, true)}`,
                interval(item.low, item.high, digits, true),
                plural(item.rows, "row", "rows"),
              ]
                .filter(Boolean)
                .join("\n"),
          }),
        ),
      ],
    });
  };
  return chart("Differences by bucket", draw, {
    note: "Dot: difference. Line: 95% interval. If the interval contains 0, the systems are not distinguishable.",
  });
}
