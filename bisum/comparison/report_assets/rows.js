"use strict";
// Rows: documents, references and the summaries of two systems, with search, sorting and paging.

const PAGE_ROWS = 20;
const FOLDED_LETTERS = 420;

/** Normalize a text for search: ignore case, accents and white space. */
const folded = (text) =>
  String(text ?? "")
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .replace(/\s+/g, " ")
    .toLowerCase();

function rowsExplorer(data, group, systems) {
  const texts = group.texts ?? [];
  const having = new Set(texts.flatMap((row) => Object.keys(row.summaries ?? {})));
  const choices = systems.filter((system) => having.has(String(system.number)));
  if (!texts.length) return null;
  const digits = decimals(data.score);
  const wanted = group.where ? [group.where.first, group.where.second].map(String) : [];
  const numbers = [...wanted.filter((number) => having.has(number)), ...choices.map((system) => String(system.number))];
  const [first, second] = [...new Set(numbers)];
  const state = { first, second, query: "", language: "", sort: "difference", shown: PAGE_ROWS };
  const searched = new WeakMap();
  const list = element("ol", { class: "rows" });
  const found = element("p", { class: "muted", role: "status" });
  const more = element("button", { type: "button", class: "more", onclick: () => grow() });
  const of = new Map(choices.map((system) => [String(system.number), system]));
  let matching = [];

  const scoreOf = (row, number) => row.scores?.[number];
  const difference = (row) => {
    const [one, two] = [scoreOf(row, state.first), scoreOf(row, state.second)];
    return isNumber(one) && isNumber(two) ? one - two : null;
  };
  const orders = {
    difference: [
      "largest difference",
      (row) => {
        const value = difference(row);
        return value === null ? null : -Math.abs(value);
      },
    ],
    first: [
      "first system higher",
      (row) => {
        const value = difference(row);
        return value === null ? null : -value;
      },
    ],
    second: ["second system higher", difference],
    low: ["first system's score, ascending", (row) => scoreOf(row, state.first)],
    high: [
      "first system's score, descending",
      (row) => {
        const value = scoreOf(row, state.first);
        return isNumber(value) ? -value : null;
      },
    ],
    file: ["file order", () => 0],
  };

  function matches(row, query) {
    if (!query) return true;
    if (!searched.has(row)) searched.set(row, folded([row.id, row.document, row.reference].join("\n")));
    const shownOnes = [state.first, state.second].some((number) => folded(row.summaries?.[number]).includes(query));
    return searched.get(row).includes(query) || shownOnes;
  }

  function update() {
    const query = folded(state.query).trim();
    const value = orders[state.sort][1];
    matching = texts
      .filter((row) => (!state.language || row.language === state.language) && matches(row, query))
      .map((row) => [value(row), row])
      .sort(([one], [two]) => compareValues(one, two, 1))
      .map(([, row]) => row);
    const whole = matching.length < texts.length ? ` of ${count(texts.length)}` : "";
    found.textContent = `${plural(matching.length, "row", "rows")}${whole}`;
    state.shown = 0;
    list.replaceChildren();
    grow();
  }

  function grow() {
    const next = matching.slice(state.shown, state.shown + PAGE_ROWS);
    list.append(...next.map(card));
    state.shown += next.length;
    more.hidden = state.shown >= matching.length;
    const left = matching.length - state.shown;
    more.textContent = `Show ${Math.min(PAGE_ROWS, left)} more (${count(left)} left)`;
  }

  function card(row) {
    const delta = difference(row);
    const facts = [row.language, row.category].filter((fact) => fact !== null && fact !== undefined && fact !== "");
    const shown = [...new Set([state.first, state.second])].filter((number) => of.has(number));
    return element(
      "li",
      { class: "row" },
      element(
        "div",
        { class: "row-head" },
        element("bdi", { class: "path" }, asText(row.id)),
        facts.map((fact) => element("bdi", { class: "tag" }, short(fact, 60))),
        delta === null
          ? null
          : element(
              "span",
              { class: "delta" },
              `${state.first} − ${state.second}: `,
              element("strong", {}, fixed(delta, digits, true)),
            ),
      ),
      part("Document", row.document, row.language, true),
      part("Reference", row.reference, row.language),
      element(
        "div",
        { class: "sides" },
        shown.map((number) => {
          const system = of.get(number);
          const title = [
            badge(system),
            " ",
            element("strong", {}, fixed(scoreOf(row, number), digits)),
            " ",
            element("bdi", {}, short(system.brief, 60)),
          ];
          return part(title, row.summaries?.[number], row.language);
        }),
      ),
    );
  }

  const languages = [...new Set(texts.map((row) => row.language).filter(Boolean))].sort();
  const search = element("input", {
    type: "search",
    placeholder: "id, document, reference or summary",
    oninput: debounced(() => set("query", search.value), 200),
  });
  const set = (name, value) => {
    state[name] = value;
    update();
  };
  const options = choices.map((system) => [
    String(system.number),
    `${system.number}  ${isolated(short(system.brief, 70))}`,
  ]);
  const controls = element(
    "div",
    { class: "controls" },
    element("label", { class: "control wide" }, element("span", {}, "Search"), search),
    languages.length > 1
      ? select("Language", [["", "all"], ...languages.map((language) => [language, language])], "", (value) =>
          set("language", value),
        )
      : null,
    options.length ? select("First system", options, state.first, (value) => set("first", value)) : null,
    options.length > 1 ? select("Second system", options, state.second, (value) => set("second", value)) : null,
    options.length
      ? select(
          "Sort by",
          Object.entries(orders).map(([name, [text]]) => [name, text]),
          state.sort,
          (value) => set("sort", value),
        )
      : null,
  );
  if (options.length < 2) state.sort = options.length ? "low" : "file";
  if (options.length === 1) controls.querySelector("label:last-child select").value = "low";
  update();
  return element("div", { class: "explorer" }, controls, found, list, more);
}

/** Return a titled text with its own direction and language; long texts are folded. */
function part(title, text, language, foldable = false) {
  const lang = /^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$/.test(language ?? "") ? language.replaceAll("_", "-") : null;
  const whole = text === null || text === undefined ? MISSING : String(text);
  const body = element("p", { class: text ? "text" : "text muted", dir: "auto", lang }, whole || "(empty)");
  const long = foldable && (whole.length > FOLDED_LETTERS || whole.split("\n").length > 5);
  const box = element("div", { class: "part" }, element("div", { class: "label" }, title), body);
  if (!long) return box;
  body.classList.add("folded");
  const button = element("button", { type: "button", class: "link", "aria-expanded": "false" }, "Show all");
  button.addEventListener("click", () => {
    const open = !body.classList.toggle("folded");
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Show less" : "Show all";
  });
  box.append(button);
  return box;
}
