"use strict";
// The page: a section per group of systems, and the theme.

const data = JSON.parse(document.getElementById("data").textContent);

/** Create a section with a heading, unless it has no content. */
function section(id, title, intro, ...content) {
  const present = content.flat(Infinity).filter(Boolean);
  if (!present.length) return null;
  return element(
    "section",
    { id },
    element("h3", {}, title),
    intro ? element("p", { class: "muted" }, intro) : null,
    present,
  );
}

function groupSections(group, prefix) {
  const keys = group.keys ?? data.keys ?? [];
  const systems = styled(group, keys);
  const by = short(data.by ?? "value", 60);
  const where = group.where;
  if (!systems.length) return [element("p", { class: "empty" }, "No system has scores on these rows.")];
  return [
    section(
      `${prefix}systems`,
      "Systems",
      "A system is a configuration; its score is the mean over its seeds. Click a column header to sort.",
      systemsTable({ ...data, keys }, systems),
      (group.explanations ?? []).map((line) => element("p", { class: "muted" }, asText(line))),
    ),
    section(
      `${prefix}scores`,
      "Scores",
      null,
      systems.some((system) => isNumber(system.value)) && scoresChart(data, systems),
    ),
    section(`${prefix}curves`, "Curves", null, curvesChart(data, group, systems)),
    section(`${prefix}languages`, "Languages", null, languagesChart(data, group, systems)),
    section(`${prefix}settings`, "Settings", null, parallelChart({ ...data, keys }, systems)),
    section(
      `${prefix}importance`,
      "Importance",
      (group.importance_explanations ?? []).map(asText).join(" "),
      importanceChart(group.importance, keys),
    ),
    section(
      `${prefix}pairs`,
      "Pairs",
      `Differences in ${by} on the rows that both systems share. ` +
        "A difference is significant if its Holm-adjusted p is at most 0.05.",
      group.pairs?.length ? pairsTable(data, group, systems) : null,
    ),
    section(
      `${prefix}where`,
      "Where they differ",
      where
        ? `Wins are rows where system ${where.first} scores better than system ${where.second}; losses are rows where ` +
            `it scores worse. The difference is the mean of ${where.first} minus ${where.second}.`
        : null,
      where
        ? [
            legend(systems.filter((system) => [where.first, where.second].includes(system.number))),
            element("div", { class: "where" }, whereTables(data, where, systems)),
            whereChart(data, where),
          ]
        : [],
    ),
    section(
      `${prefix}rows`,
      "Rows",
      group.texts_note || null,
      rowsExplorer(data, group, systems),
    ),
  ].filter(Boolean);
}

function groupTitle(group, number) {
  const languages = Object.entries(group.languages ?? {}).map(
    ([language, rows]) => `${isolated(short(language, 20))} ${count(rows)}`,
  );
  const listed = languages.length ? ` (${short(languages.join(", "), 80)})` : "";
  return `Set ${number}: ${plural(group.rows ?? 0, "row", "rows")}${listed}`;
}

/** Return navigation links to sections or groups. */
function contents(targets) {
  const links = targets.map(([id, text]) => element("a", { href: `#${id}` }, text));
  return element("nav", { "aria-label": "Contents" }, links);
}

function build() {
  const groups = data.groups ?? [];
  const main = document.getElementById("main");
  if (!groups.length) {
    main.append(element("p", { class: "empty" }, `No run has scores on the ${asText(data.split)} split.`));
    return;
  }
  const parts = groups.map((group, place) => groupSections(group, `g${place + 1}-`));
  if (groups.length === 1) {
    main.append(
      contents(parts[0].filter((part) => part.id).map((part) => [part.id, part.firstChild.textContent])),
      ...parts[0],
    );
    return;
  }
  const titles = groups.map((group, place) => groupTitle(group, place + 1));
  main.append(
    contents(titles.map((title, place) => [`g${place + 1}`, title])),
    element(
      "p",
      { class: "note" },
      `The systems were scored on ${count(groups.length)} different sets of rows. ` +
        "Systems in different sets are not tested against each other.",
    ),
    ...groups.map((group, place) =>
      group.why ? element("p", { class: "muted" }, `Set ${place + 1}: ${asText(group.why)}.`) : null,
    ).filter(Boolean),
    ...parts.map((part, place) =>
      element("section", { class: "group", id: `g${place + 1}` }, element("h2", {}, titles[place]), part),
    ),
  );
}

/** Set up the theme button; the choice is stored where the browser allows it. */
function themes() {
  const names = ["auto", "light", "dark"];
  const key = "bisum-report-theme";
  const button = document.getElementById("theme");
  let chosen = "auto";
  try {
    chosen = names.includes(localStorage.getItem(key)) ? localStorage.getItem(key) : "auto";
  } catch {
    // Some browsers deny storage to local files.
  }
  const apply = () => {
    document.documentElement.dataset.theme = chosen;
    button.textContent = `Theme: ${chosen}`;
  };
  button.addEventListener("click", () => {
    chosen = names[(names.indexOf(chosen) + 1) % names.length];
    apply();
    try {
      localStorage.setItem(key, chosen);
    } catch {
      // As above.
    }
  });
  button.hidden = false;
  apply();
}

themes();
build();
