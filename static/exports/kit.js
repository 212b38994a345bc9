// What the pages with columns and conditions have in common: the columns of a dataset, and their form.
import { announce, el } from "./dom.js";

// The columns there are: the dataset's own, and the organization's attributes.
export function columnsOf(offered, dataset, attributes) {
  const { columns, attributes: has } = offered.datasets[dataset] ?? { columns: [] };
  return has ? [...columns, ...attributes.map((key) => ({ key: `attributes.${key}`, title: key, kind: "text", group: "Attributes" }))] : columns;
}

// Enter in a field would press the form's first button, far away; what it means here, each part says itself.
export function withoutEnter(form) {
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  });
}

export async function offeredBy(url, organization) {
  try {
    const response = await fetch(url.replace("/0/", `/${organization}/`), { redirect: "manual" });
    if (response.ok) return await response.json();
  } catch {
    // said below
  }
  announce("The organization's own columns could not be read.");
  return null;
}

// The segments that fit the dataset; the chosen one stays where it does.
export function offerSegments(select, segments, dataset) {
  const wanted = select.value;
  const fitting = segments.filter((each) => each.dataset === dataset);
  select.replaceChildren(el("option", { value: "" }, "none: all rows"), ...fitting.map(({ id, name }) => el("option", { value: id }, name)));
  select.value = fitting.some(({ id }) => String(id) === wanted) ? wanted : "";
}

// What was chosen stays with the page's place in the history, for those who come back to it or load it anew; the browser's own memory of
// fields knows nothing of columns and conditions, so the forms switch it off.
export function keeper() {
  let timer = null;
  const keep = (spec) => {
    clearTimeout(timer);
    try {
      history.replaceState({ spec }, "");
    } catch {
      // too often, or too much: then it is not kept
    }
  };
  return {
    // A link to the page is a new beginning, although the browser keeps the place's state when it leads to where one is.
    found: () => (performance.getEntriesByType("navigation")[0]?.type === "navigate" ? null : (history.state?.spec ?? null)),
    now: keep,
    soon(spec) {
      clearTimeout(timer);
      timer = setTimeout(() => keep(spec), 300);
    },
  };
}

export const initial = () => JSON.parse(document.getElementById("page").textContent);

// How a person calls the place of an error.
export function labelOf(form, columns, field) {
  const column = /^columns\[(\d+)\]/.exec(field);
  if (column) return `Column ${Number(column[1]) + 1}${columns[column[1]]?.title ? ` (${columns[column[1]].title})` : ""}`;
  if (field.startsWith("filter")) return "Conditions";
  if (field.startsWith("sort")) return "Order";
  if (field.startsWith("options.")) return `Format, ${field.slice(8)}`;
  return form.querySelector(`label[for="id_${field}"]`)?.textContent ?? field;
}

// The sentences above the form call their places as the page does; those of them that have no mark below stay as they are.
export function settleErrors(errors, rest, labelled) {
  const note = document.querySelector("[data-errors]");
  if (!note) return;
  const unmarked = new Set(rest.map(({ field }) => field));
  const sentences = [...note.querySelectorAll("[data-field]")];
  for (const { field, detail } of errors) {
    const sentence = sentences.find((element) => element.dataset.field === field && element.textContent === `${field}: ${detail}`);
    if (sentence && !unmarked.has(field)) sentence.textContent = `${labelled(field)}: ${detail}`;
  }
  note.tabIndex = -1;
  note.focus();
}
