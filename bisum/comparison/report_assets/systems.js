"use strict";
// Systems: their colors, symbols and tables.

const VERDICTS = {
  best: "best",
  "not distinguishable from the best": "tied",
  "worse than the best": "worse",
};

/** Assign colors and symbols: seven hues to the best seven systems, grey to the others and the baselines. */
function styled(group, keys) {
  const names = shortKeys(keys);
  const symbols = ["circle", "square", "triangle", "diamond", "star", "cross", "wye"];
  let next = 0;
  return (group.systems ?? []).map((system) => {
    const place = system.is_baseline || next >= symbols.length ? null : next++;
    const settings = keys.filter((key) => system.settings?.[key] !== undefined && system.settings[key] !== null);
    const brief = settings.map((key) => `${names.get(key)}=${asText(system.settings[key])}`).join(" ");
    return {
      ...system,
      prominent: place !== null,
      color: place === null ? (system.is_baseline ? "var(--baseline)" : "var(--other)") : `var(--series-${place + 1})`,
      symbol: place === null ? "circle" : symbols[place],
      brief: system.is_baseline || !brief ? String(system.label ?? "") : brief,
    };
  });
}

/** Return a system's symbol and number. */
function badge(system) {
  const size = 14;
  const svg = d3.create("svg").attr("viewBox", "-7 -7 14 14").attr("width", size).attr("height", size);
  const shape = { circle: 0, square: 3, triangle: 5, diamond: 2, star: 4, cross: 1, wye: 6 }[system.symbol];
  svg.append("path").attr("d", d3.symbol(d3.symbolsFill[shape], 80)());
  svg.attr("aria-hidden", "true").style("fill", system.is_baseline ? "none" : system.color);
  svg.style("stroke", system.color).style("stroke-width", 1.5);
  return element("span", { class: "badge" }, svg.node(), String(system.number));
}

/** Return a chart's legend: the symbols, numbers and settings of its systems. */
function legend(systems, rest = 0) {
  const items = systems.map((system) =>
    element("li", { title: short(system.label, 400) }, badge(system), " ", element("bdi", {}, short(system.brief, 60))),
  );
  if (rest > 0)
    items.push(element("li", { class: "muted" }, `in grey: ${plural(rest, "other system", "other systems")}`));
  return element("ul", { class: "legend" }, items);
}

function verdict(system) {
  const tags = [];
  if (system.is_baseline) tags.push(element("span", { class: "tag" }, "baseline"));
  if (system.verdict || system.is_best) {
    const label = system.is_best ? "best" : system.verdict;
    tags.push(element("span", { class: `tag ${VERDICTS[label] ?? ""}` }, label));
  }
  return element("span", { class: "tags" }, tags);
}

/** Return a system's score, its interval and the scores of its seeds. */
function valueCell(system, digits) {
  const seeds = (system.seed_values ?? []).filter(isNumber);
  const lines = [element("strong", {}, fixed(system.value, digits))];
  const bounds = interval(system.low, system.high, digits);
  if (bounds) lines.push(element("span", { class: "bounds" }, bounds));
  if (seeds.length > 1) {
    const each = (system.seeds ?? []).map((seed, place) => `seed ${seed}: ${fixed(system.seed_values[place], digits)}`);
    const listed = seeds
      .slice(0, 5)
      .map((value) => fixed(value, digits))
      .join(", ");
    const ending = seeds.length > 5 ? ", …" : "";
    lines.push(element("span", { class: "bounds", title: each.join("\n") }, `seeds ${listed}${ending}`));
  }
  return element("span", { class: "lines" }, lines);
}

function systemsTable(data, systems) {
  const [keys, digits] = [data.keys ?? [], decimals(data.score)];
  const first = {
    name: "system",
    value: (system) => system.number,
    cell: (system) => {
      const named = system.is_baseline || !keys.length;
      return element("span", { class: "lines" }, badge(system), named ? clamped(system.label) : null);
    },
  };
  const names = shortKeys(keys);
  const settings = keys.map((key) => ({
    name: names.get(key),
    title: key,
    value: (system) => system.settings?.[key],
    cell: (system) => clamped(system.settings?.[key]),
    numeric: systems.every(
      (system) => [null, undefined].includes(system.settings?.[key]) || isNumber(system.settings[key]),
    ),
  }));
  const metrics = Object.entries(data.metrics ?? {}).map(([name, score]) => ({
    name,
    title: score?.description ?? null,
    numeric: true,
    descending: score?.higher_is_better !== false,
    value: (system) => system.metrics?.[name],
    cell: (system) => fixed(system.metrics?.[name], decimals(score)),
  }));
  const columns = [
    first,
    {
      name: data.by ?? "value",
      title: [data.score?.description, "with its 95% interval and the scores of the seeds"].filter(Boolean).join(", "),
      numeric: true,
      descending: data.score?.higher_is_better !== false,
      value: (system) => system.value,
      cell: (system) => valueCell(system, digits),
    },
    {
      name: "vs. best",
      title: "Difference from the best, with its 95% interval and Holm-adjusted p",
      numeric: true,
      value: (system) => system.minus_best?.difference,
      cell: (system) => {
        const of = system.minus_best;
        if (!of) return MISSING;
        return element("span", { class: "lines" }, differenceCell(of, digits), `p ${probability(of.p_adjusted)}`);
      },
    },
    { name: "verdict", value: (system) => system.verdict, cell: verdict },
    ...settings,
    {
      name: "seeds",
      title: "Seeds of the system's runs",
      value: (system) => system.seeds?.length,
      numeric: true,
      cell: (system) =>
        element(
          "span",
          { title: (system.runs ?? []).join("\n") },
          short((system.seeds ?? []).map(asText).join(", ") || MISSING, 24),
        ),
    },
    ...metrics,
    {
      name: "rows/s",
      title: "Rows per second in training; for evaluations, in summarization",
      numeric: true,
      descending: true,
      value: (system) => system.rows_per_second,
      cell: (system) => fixed(system.rows_per_second, 1),
    },
    {
      name: "parameters",
      numeric: true,
      value: (system) => system.parameters,
      cell: (system) => element("span", { title: count(system.parameters) }, compact(system.parameters)),
    },
  ];
  const mark = (system) => [system.is_best && "best", system.is_baseline && "baseline"].filter(Boolean).join(" ");
  return table("Systems, best first", columns, systems, { mark, sticky: true });
}

function pairsTable(data, group, systems) {
  const digits = decimals(data.score);
  const of = new Map(systems.map((system) => [system.number, system]));
  const named = (number) => {
    const system = of.get(number);
    return system ? element("span", { title: short(system.label, 400) }, badge(system)) : asText(number);
  };
  const columns = [
    { name: "first", value: (pair) => pair.first, cell: (pair) => named(pair.first) },
    { name: "second", value: (pair) => pair.second, cell: (pair) => named(pair.second) },
    {
      name: "difference",
      title: "First minus second, with its 95% interval",
      numeric: true,
      descending: true,
      value: (pair) => pair.difference,
      cell: (pair) => differenceCell(pair, digits),
    },
    ...[
      ["p", "p", null],
      ["p_adjusted", "p, Holm-adjusted", "Adjusted over all pairs by Holm's method"],
      ["p_randomization", "p, randomization", "By approximate randomization"],
    ].map(([name, label, title]) => ({
      name: label,
      title,
      numeric: true,
      value: (pair) => pair[name],
      cell: (pair) => probability(pair[name]),
    })),
    { name: "rows", numeric: true, value: (pair) => pair.rows, cell: (pair) => count(pair.rows) },
    {
      name: "verdict",
      value: (pair) => pairVerdict(pair)[0],
      cell: (pair) => {
        const [text, kind] = pairVerdict(pair);
        return element("span", { class: `tag ${kind}` }, text);
      },
    },
  ];
  return table("Pairs of systems", columns, group.pairs ?? []);
}

/** Return the verdict on a pair and the class of its tag. */
function pairVerdict(pair) {
  const text = asText(pair.verdict ?? "not tested");
  return [text, text === "not distinguishable" ? "tied" : text === "not tested" ? "" : "best"];
}

function differenceCell(of, digits) {
  const bounds = interval(of.low, of.high, digits, true);
  const lines = [element("strong", {}, fixed(of.difference, digits, true))];
  if (bounds) lines.push(element("span", { class: "bounds" }, bounds));
  return element("span", { class: "lines" }, lines);
}

/** Return a table per division of the rows, with the wins, ties and losses of the first of two systems. */
function whereTables(data, where, systems) {
  const digits = decimals(data.score);
  const [ours, theirs] = [where.first, where.second].map(
    (number) => systems.find((system) => system.number === number)?.color,
  );
  const colors =
    ours && theirs && ours !== theirs
      ? [ours, "var(--line)", theirs]
      : ["var(--series-1)", "var(--line)", "var(--series-2)"];
  return Object.entries(where.buckets ?? {}).map(([name, buckets]) => {
    const columns = [
      { name, cell: (bucket) => clamped(bucket.name) },
      { name: "rows", numeric: true, cell: (bucket) => count(bucket.rows) },
      {
        name: "wins / ties / losses",
        title: `Rows where system ${where.first} is better, tied and worse`,
        cell: (bucket) => outcomes(bucket, colors),
      },
      {
        name: "difference",
        title: "First minus second, with its 95% interval",
        numeric: true,
        cell: (bucket) => differenceCell(bucket, digits),
      },
    ];
    return table(`Where they differ: by ${name}`, columns, buckets ?? []);
  });
}

/** Return a bar of wins, ties and losses in the two systems' colors, with the counts below. */
function outcomes(bucket, colors) {
  const numbers = [bucket.wins, bucket.ties, bucket.losses].map((value) => (isNumber(value) ? value : 0));
  const parts = numbers.map((number, place) => {
    const part = element("i");
    part.style.flexGrow = String(number);
    part.style.background = colors[place];
    return part;
  });
  const counts = element("span", { class: "bounds" }, numbers.map(count).join(" / "));
  return element("span", { class: "outcomes" }, element("span", { class: "bar", "aria-hidden": "true" }, parts), counts);
}
