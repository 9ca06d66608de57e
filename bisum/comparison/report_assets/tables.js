"use strict";
// Tables that sort by column and grow on demand.

const SHOWN_ROWS = 100;

/** Compare values: numbers by size, others as text; missing ones are last in either direction. */
function compareValues(one, two, sign) {
  const missing = (value) => value === null || value === undefined || value === "" || Number.isNaN(value);
  if (missing(one) || missing(two)) return missing(one) - missing(two);
  if (isNumber(one) && isNumber(two)) return sign * (one - two);
  if (isNumber(one) !== isNumber(two)) return isNumber(one) ? -1 : 1;
  return sign * asText(one).localeCompare(asText(two), undefined, { numeric: true });
}

/**
 * Create a table.
 *
 * A column has a `name`, a `cell(row)` (text or a node) and, if sortable, a `value(row)`. `numeric` aligns it to the
 * right, `descending` puts large values first on the first click, and `title` explains its header.
 * `mark(row)` returns the class of a row.
 */
function table(caption, columns, rows, { mark = () => "", sticky = false } = {}) {
  const body = element("tbody");
  const more = element("button", { type: "button", class: "more", onclick: () => show(shown + SHOWN_ROWS) });
  let [shown, ordered, sorted, sign] = [SHOWN_ROWS, [...rows], null, 1];

  function show(number) {
    shown = number;
    body.replaceChildren(
      ...ordered.slice(0, shown).map((row) =>
        element(
          "tr",
          { class: mark(row) || null },
          columns.map((column, place) => {
            const kind = [column.numeric && "number", column.class].filter(Boolean).join(" ");
            const tag = sticky && place === 0 ? "th" : "td";
            return element(tag, { class: kind || null, scope: tag === "th" ? "row" : null }, column.cell(row));
          }),
        ),
      ),
    );
    more.hidden = ordered.length <= shown;
    more.textContent = `Show more (${count(ordered.length - shown)} left)`;
  }

  function sortBy(column) {
    sign = sorted === column ? -sign : column.descending ? -1 : 1;
    sorted = column;
    ordered = [...rows].sort((one, two) => compareValues(column.value(one), column.value(two), sign));
    columns.forEach((of, place) => {
      if (!of.value) return;
      headers[place].setAttribute("aria-sort", of !== sorted ? "none" : sign > 0 ? "ascending" : "descending");
    });
    show(shown);
  }

  const headers = columns.map((column) => {
    const label = element("span", { class: "clamp" }, breakable(column.name));
    const content = column.value ? element("button", { type: "button", onclick: () => sortBy(column) }, label) : label;
    return element(
      "th",
      {
        scope: "col",
        class: column.numeric ? "number" : null,
        title: column.title ?? null,
        "aria-sort": column.value ? "none" : null,
      },
      content,
    );
  });
  show(shown);
  const whole = element(
    "table",
    { class: sticky ? "sticky" : null },
    element("caption", { class: "hidden" }, caption),
    element("thead", {}, element("tr", {}, headers)),
    body,
  );
  const frame = {
    class: rows.length > 25 ? "scroll tall" : "scroll",
    tabindex: 0,
    role: "region",
    "aria-label": caption,
  };
  return element("div", { class: "table" }, element("div", frame, whole), more);
}

/** Return a dotted or slashed name that can wrap after its separators. */
function breakable(text) {
  const parts = String(text)
    .slice(0, 500)
    .split(/(?<=[./_])/)
    .slice(0, 60);
  return parts.flatMap((part, place) => (place ? [element("wbr"), part] : [part]));
}

/** Return a text of at most three lines, with the full text as its tooltip. */
function clamped(text) {
  const [shown, whole] = [asText(text), String(text)];
  const title = shown.length > 40 ? shown : isNumber(text) && shown !== whole ? whole : null;
  return element("span", { class: "clamp", title, dir: "auto" }, shown);
}
