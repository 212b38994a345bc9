// Columns that are made: a fixed text, or computed from others by one of the ways that the server knows.
import { columnSelect } from "./conditions.js";
import { button, el, select } from "./dom.js";

export const NAMES = { constant: "fixed text", concatenate: "joined texts", date_part: "part of a date", days_between: "days between", map: "translated values" };
const TIMES = ["datetime", "date"];

// A new one of this kind, over the columns there are.
export function madeColumn(kind, columns) {
  const times = columns.filter((column) => TIMES.includes(column.kind));
  const first = columns[0].key;
  const time = times[0]?.key ?? first;
  const status = columns.find(({ key }) => key === "status")?.key ?? first;
  return {
    constant: () => ({ title: "fixed text", constant: "" }),
    concatenate: () => ({ title: "joined", compute: { op: "concatenate", parts: [{ column: first }, { text: " " }, { column: columns[1].key }] } }),
    date_part: () => ({ title: "year", compute: { op: "date_part", column: time, part: "year" } }),
    days_between: () => ({ title: "days", compute: { op: "days_between", from: time, to: times[1]?.key ?? time } }),
    map: () => ({ title: "translated", compute: { op: "map", column: status, values: { "": "" } } }),
  }[kind]();
}

// What can be said of such a column; kit: columns(), offered, onchange() for a new value and onredraw() for more or fewer parts.
export function madeElement(column, kit) {
  return "constant" in column ? constantElement(column, kit) : computeElement(column.compute, kit);
}

function constantElement(column, { onchange }) {
  const input = el("input", { type: "text", value: column.constant, maxlength: "1000", "aria-label": "The text in every row", placeholder: "the text in every row", "data-constant": true,
    oninput: () => {
      column.constant = input.value;
      onchange();
    } });
  return el("div", { class: "made" }, input);
}

function computeElement(compute, kit) {
  const { columns, offered, onchange } = kit;
  const times = () => columns().filter((column) => TIMES.includes(column.kind));
  const set = (key) => (value) => {
    compute[key] = value;
    onchange();
  };
  const parts = {
    date_part: () => [select("Part", offered.parts.map((part) => [part, part]), compute.part, set("part")), "of", columnSelect("Column", times(), compute.column, set("column"))],
    days_between: () => ["from", columnSelect("From", times(), compute.from, set("from")), "to", columnSelect("To", times(), compute.to, set("to"))],
    concatenate: () => concatenated(compute, kit),
    map: () => mapped(compute, kit),
  }[compute.op];
  return el("div", { class: "made" }, parts ? parts() : []);
}

function concatenated(compute, { columns, onchange, onredraw }) {
  const elements = compute.parts.map((part, number) => {
    const inner = "column" in part
      ? columnSelect("Column", columns(), part.column, (key) => {
          part.column = key;
          onchange();
        })
      : el("input", { type: "text", value: part.text, "aria-label": "Text between", oninput: (event) => {
          part.text = event.target.value;
          onchange();
        } });
    return el("span", { class: "part" }, inner, button("Take this part out", "✕", () => {
      compute.parts.splice(number, 1);
      onredraw();
    }, { class: "icon" }));
  });
  const more = (part) => () => {
    compute.parts.push(part());
    onredraw();
  };
  return [...elements, button("Add a column to the text", "+ Column", more(() => ({ column: columns()[0].key })), { class: "link" }), button("Add a text", "+ Text", more(() => ({ text: " " })), { class: "link" })];
}

function mapped(compute, { columns, onchange, onredraw }) {
  const pairs = Object.entries(compute.values);
  const keep = () => {
    compute.values = Object.fromEntries(pairs);
  };
  const rows = pairs.map((pair, number) => {
    const inputs = ["Value in the data", "Text in the file"].map((label, side) => {
      const input = el("input", { type: "text", value: pair[side], "aria-label": label, placeholder: label.toLowerCase(), oninput: () => {
        pair[side] = input.value;
        keep();
        onchange();
      } });
      return input;
    });
    return el("span", { class: "pair" }, inputs[0], "→", inputs[1], button("Take this value out", "✕", () => {
      pairs.splice(number, 1);
      keep();
      onredraw();
    }, { class: "icon" }));
  });
  const other = el("input", { type: "text", value: compute.default ?? "", "aria-label": "Text for all other values", placeholder: "all others: empty", oninput: () => {
    if (other.value) compute.default = other.value;
    else delete compute.default;
    onchange();
  } });
  return [
    columnSelect("Column", columns(), compute.column, (key) => {
      compute.column = key;
      onchange();
    }),
    ...rows,
    el("span", { class: "pair" }, "others →", other),
    button("Add a value", "+ Value", () => {
      let name = "value";
      while (name in compute.values) name += "'";
      compute.values[name] = "";
      onredraw();
    }, { class: "link" }),
  ];
}
