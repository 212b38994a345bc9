// In which order the rows stand: up to three columns, the first of them first.
import { columnSelect } from "./conditions.js";
import { button, el, errorList, select } from "./dom.js";

const DIRECTIONS = [
  ["asc", "ascending"],
  ["desc", "descending"],
];

// root: where to draw; columns(): [{key, title, group}].
export function rowOrder(root, { columns, offered, onchange }) {
  let sort = [];
  let errors = [];

  function changed() {
    errors = [];
    render();
    onchange();
  }

  function add() {
    const used = new Set(sort.map(({ column }) => column));
    sort.push({ column: columns().find(({ key }) => !used.has(key)).key, direction: "asc" });
    changed();
    root.querySelector(`[data-sort-row="${sort.length - 1}"] select`)?.focus();
  }

  function takeOut(number) {
    sort.splice(number, 1);
    changed();
    root.querySelector("[data-add-sort]")?.focus();
  }

  function row(each, number) {
    const set = (name) => (value) => {
      each[name] = value;
      onchange();
    };
    return el(
      "div",
      { class: "sort-row", "data-sort-row": String(number) },
      columnSelect(number ? "Then by" : "Sorted by", columns(), each.column, set("column")),
      select("Direction", DIRECTIONS, each.direction, set("direction")),
      button("Take this order out", "✕", () => takeOut(number), { class: "icon" }),
      errorList(errors.filter(({ field }) => field.startsWith(`sort[${number}]`)).map(({ detail }) => detail)),
    );
  }

  function render() {
    const more = sort.length < offered.most.sorts;
    root.replaceChildren(
      el("h3", {}, "Order of rows"),
      ...sort.map(row),
      el(
        "div",
        { class: "group-foot" },
        sort.length ? null : el("span", { class: "quiet" }, "by creation"),
        more ? button("Add an order", sort.length ? "+ then by" : "+ sort by a column", add, { class: "link", "data-add-sort": true }) : null,
      ),
    );
  }

  return {
    sort: () => sort,
    set(wanted) {
      sort = wanted.map(({ column, direction = "asc" }) => ({ column, direction }));
      render();
    },
    refresh: render,
    // Shows errors at their columns; gives back those that have no place here.
    show(all) {
      errors = all.filter(({ field }) => field.startsWith("sort["));
      render();
      return all.filter((error) => !errors.includes(error));
    },
  };
}
