// Which columns, in which order and under which titles; moved by drag, by buttons, and by arrow keys on their handles.
// A column is the server's own: {"key", "title"}, {"title", "constant"} or {"title", "compute": {"op", …}}.
import { announce, button, el, errorList, plural, select } from "./dom.js";
import { madeColumn, madeElement, NAMES } from "./made.js";

// root: where to draw; columns(): [{key, title, kind, group}]; openKeys(): the field whose keys are columns too, or "".
export function columnPicker(root, { columns, openKeys, offered, onchange }) {
  let chosen = [];
  let errors = [];
  let sought = "";

  const nameOf = (column) => column.title || column.key || NAMES[column.compute?.op ?? "constant"];
  const count = () => plural(chosen.length, "column");

  function changed(say = "") {
    errors = [];
    render();
    if (say) announce(say);
    onchange();
  }

  // -- Moving --
  function move(from, to, focus) {
    if (to < 0 || to >= chosen.length || from === to) {
      announce(`${nameOf(chosen[from])} is already ${from === 0 ? "first" : "last"}.`);
      return;
    }
    const [column] = chosen.splice(from, 1);
    chosen.splice(to, 0, column);
    changed(`${nameOf(column)}: place ${to + 1} of ${chosen.length}.`);
    const again = list.children[to]?.querySelector(`[data-${focus}]`);
    // The button at the end of the way rests; the handle takes its place.
    (again && !again.disabled ? again : list.children[to]?.querySelector("[data-handle]"))?.focus();
    list.children[to]?.scrollIntoView({ block: "nearest" });
  }

  function onkey(event, index) {
    const to = { ArrowUp: index - 1, ArrowDown: index + 1, Home: 0, End: chosen.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    move(index, to, "handle");
  }

  function drag(event, item) {
    if (event.button) return;
    event.preventDefault();
    const handle = event.currentTarget;
    handle.setPointerCapture(event.pointerId);
    const from = [...list.children].indexOf(item);
    item.classList.add("dragged");
    const onmove = ({ clientY }) => {
      const box = list.getBoundingClientRect();
      if (clientY < box.top + 24) list.scrollTop -= 12;
      else if (clientY > box.bottom - 24) list.scrollTop += 12;
      const others = [...list.children].filter((other) => other !== item);
      const below = others.find((other) => {
        const { top, height } = other.getBoundingClientRect();
        return clientY < top + height / 2;
      });
      if (below !== item.nextElementSibling) list.insertBefore(item, below ?? null);
    };
    const end = () => {
      handle.removeEventListener("pointermove", onmove);
      handle.removeEventListener("pointerup", end);
      handle.removeEventListener("pointercancel", end);
      item.classList.remove("dragged");
      const to = [...list.children].indexOf(item);
      if (to !== from) move(from, to, "handle");
    };
    handle.addEventListener("pointermove", onmove);
    handle.addEventListener("pointerup", end);
    handle.addEventListener("pointercancel", end);
  }

  function takeOut(index) {
    const [column] = chosen.splice(index, 1);
    changed(`${nameOf(column)} taken out; ${count()}.`);
    (list.children[Math.min(index, chosen.length - 1)]?.querySelector("[data-remove]") ?? search).focus();
  }

  function add(column) {
    if (chosen.length >= offered.most.columns) {
      announce(`A file has at most ${offered.most.columns} columns.`);
      return;
    }
    chosen.push({ ...column, title: free(column.title) });
    changed(`${column.title} added; ${count()}.`);
    list.lastElementChild?.scrollIntoView({ block: "nearest" });
  }

  function free(title) {
    const taken = new Set(chosen.map((column) => column.title));
    let found = title;
    for (let number = 2; taken.has(found); number += 1) found = `${title} ${number}`;
    return found;
  }

  function addMade(kind) {
    add(madeColumn(kind, columns()));
    list.lastElementChild?.querySelector("[data-title]").select();
  }

  // -- Drawing --
  const list = el("ol", { class: "columns", "data-chosen": true });
  const summary = el("p", { class: "help", "data-column-count": true });
  const general = el("div");
  const search = el("input", {
    type: "search", "aria-label": "Seek a column", placeholder: "seek a column", "data-column-search": true,
    oninput: () => {
      sought = search.value;
      renderThere();
    },
    onkeydown: (event) => {
      if (event.key !== "Enter") return;
      const first = there.querySelector("button:not(:disabled)");
      if (first && sought) first.click();
    },
  });
  const there = el("ul", { class: "columns-there", "data-available": true });
  const made = select("Add a column that is made", [["", "+ made column…"], ...["constant", ...offered.computations].map((name) => [name, NAMES[name] ?? name])], "", (kind) => {
    made.value = "";
    if (kind) addMade(kind);
  }, { "data-add-made": true });
  const own = el("div", { class: "own-key" });
  root.replaceChildren(
    el("div", { class: "picker" },
      el("div", {}, el("h3", {}, "In the file"), summary, general, list,
        el("div", { class: "group-foot" }, button("Take all columns out", "Take all out", () => {
          chosen = [];
          changed("All columns taken out.");
          search.focus();
        }, { class: "link", "data-remove-all": true }))),
      el("div", {}, el("h3", {}, "There are"), search, there, own,
        el("div", { class: "group-foot" },
          made,
          button("Add all columns", "+ All", addAll, { class: "link", "data-add-all": true })))),
  );

  function addAll() {
    const keys = new Set(chosen.map((column) => column.key));
    const more = columns().filter(({ key }) => !keys.has(key)).slice(0, offered.most.columns - chosen.length);
    for (const { key, title } of more) chosen.push({ key, title: free(title) });
    changed(`${plural(more.length, "column")} added; ${count()}.`);
  }

  function render() {
    const [mine, rest] = [errors.filter(({ index }) => index !== undefined), errors.filter(({ index }) => index === undefined)];
    general.replaceChildren(...[errorList(rest.map(({ detail }) => detail))].filter(Boolean));
    summary.textContent = chosen.length ? `${count()}. Drag a handle, or press ↑ and ↓ on it.` : "No columns yet: choose some.";
    const top = list.scrollTop;
    list.replaceChildren(...chosen.map((column, index) => itemElement(column, index, mine.filter((error) => error.index === index))));
    list.scrollTop = top;
    renderThere();
  }

  function renderThere() {
    const keys = new Set(chosen.map((column) => column.key));
    const words = sought.trim().toLowerCase();
    const fitting = columns().filter(({ key, title }) => !words || key.toLowerCase().includes(words) || title.toLowerCase().includes(words));
    there.replaceChildren(
      ...fitting.map(({ key, title, group }) =>
        el("li", {},
          button(`Add ${title}${keys.has(key) ? " once more" : ""}`, null, () => add({ key, title }), { "data-add": key, class: keys.has(key) ? "there chosen" : "there" }))),
    );
    fitting.forEach(({ key, title, group }, number) => {
      const parts = [el("span", { class: "mark", "aria-hidden": "true" }, keys.has(key) ? "✓" : "+"), el("span", {}, title)];
      if (title !== key && !group) parts.push(el("span", { class: "quiet" }, key));
      there.children[number].firstElementChild.append(...parts);
    });
    if (!fitting.length) there.append(el("li", { class: "quiet" }, "No column fits."));
    const field = openKeys();
    if (field && !own.children.length) {
      const key = el("input", { type: "text", maxlength: "190", "aria-label": `Another key of ${field}`, placeholder: `another key of ${field}` });
      own.append(key, button("Add this key", "+", () => {
        if (key.value.trim()) add({ key: `${field}.${key.value.trim()}`, title: key.value.trim() });
        key.value = "";
      }, { class: "icon" }));
    } else if (!field) own.replaceChildren();
  }

  function itemElement(column, index, mine) {
    const name = nameOf(column);
    const declared = columns().find(({ key }) => key === column.key);
    const title = el("input", {
      type: "text", value: column.title ?? "", maxlength: "200", "aria-label": `Title of ${column.key ?? name}`, "data-title": true,
      "aria-invalid": mine.length ? "true" : null,
      oninput: () => {
        column.title = title.value;
        // What was wrong with it is another matter now.
        item.classList.remove("wrong");
        item.querySelector(".errorlist")?.remove();
        title.removeAttribute("aria-invalid");
        onchange();
      },
    });
    const kind = column.key ?? NAMES[column.compute?.op ?? "constant"];
    const item = el("li", { class: mine.length ? "column wrong" : "column", "data-column": column.key ?? "", "data-made": column.key ? null : column.compute?.op ?? "constant" },
      button(`Move ${name}, place ${index + 1} of ${chosen.length}: arrow keys, or drag`, "⠿", () => {}, {
        class: "icon handle", "data-handle": true,
        onkeydown: (event) => onkey(event, index),
        onpointerdown: (event) => drag(event, item),
      }),
      title,
      el("span", { class: declared || !column.key ? "column-key" : "column-key gone", title: kind }, declared || !column.key ? kind : `${kind}: gone`),
      el("span", { class: "column-buttons" },
        button(`Move ${name} up`, "↑", () => move(index, index - 1, "up"), { class: "icon", "data-up": true, disabled: index === 0 }),
        button(`Move ${name} down`, "↓", () => move(index, index + 1, "down"), { class: "icon", "data-down": true, disabled: index === chosen.length - 1 }),
        button(`Take ${name} out`, "✕", () => takeOut(index), { class: "icon", "data-remove": true })),
      column.key ? null : madeElement(column, { columns, offered, onchange, onredraw: changed }),
      errorList(mine.map(({ detail }) => detail)));
    return item;
  }

  render();
  return {
    columns: () => chosen,
    set(columns) {
      chosen = columns.map((column) => (typeof column === "string" ? { key: column, title: column } : structuredClone(column)));
      errors = [];
      render();
    },
    refresh: render,
    // Shows errors at their columns; gives back those that have no place here.
    show(all) {
      const mine = all.filter(({ field }) => field === "columns" || field.startsWith("columns["));
      errors = mine.map(({ field, detail }) => ({ index: /^columns\[(\d+)\]/.exec(field) ? Number(/^columns\[(\d+)\]/.exec(field)[1]) : undefined, detail }));
      render();
      const wrong = list.querySelector(".wrong");
      if (wrong) list.scrollTop += wrong.getBoundingClientRect().top - list.getBoundingClientRect().top;
      return all.filter((error) => !mine.includes(error));
    },
  };
}
