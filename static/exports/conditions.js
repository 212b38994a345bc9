// Which rows: groups of conditions over the dataset's columns, as deep as a filter may be. The tree is the server's own:
// {"all": […]}, {"any": […]}, {"not": …} or {"column", "op", "value"}; the server alone says what is wrong with it.
import { announce, button, el, errorList, select } from "./dom.js";

const JOINTS = [
  ["all", "all of these hold"],
  ["any", "any of these holds"],
  ["not-all", "not all of these hold"],
  ["not-any", "none of these holds"],
];
const DAY = /^\d{4}-\d{2}-\d{2}$/;

// root: where to draw; columns(): [{key, title, kind, group}]; offered: the page's data; suggested(key): values to suggest;
// flat: one list without groups, with the operators that a segment's rules have.
export function filterBuilder(root, { columns, offered, suggested, flat = false, onchange }) {
  let top = group("all");
  let errors = new Map(); // node → texts
  let focusOn = null;
  let lists = 0;

  function group(joint, parts = []) {
    return { joint, parts };
  }

  // -- Tree to nodes, and back --
  function fromTree(tree) {
    if (!tree || typeof tree !== "object") return group("all");
    const node = nodeOf(tree);
    return node.parts ? node : group("all", [node]);
  }

  function nodeOf(tree) {
    for (const joint of ["all", "any"]) {
      if (Array.isArray(tree[joint])) return group(joint, tree[joint].map(nodeOf));
    }
    if (tree.not) {
      const inner = nodeOf(tree.not);
      if (inner.parts && (inner.joint === "all" || inner.joint === "any")) return { ...inner, joint: `not-${inner.joint}` };
      return group("not-all", [inner]);
    }
    return { column: tree.column, op: tree.op, value: tree.value };
  }

  // The tree without empty groups, and without groups of one; `paths` tells which node each of its places is.
  function toTree(paths = new Map()) {
    const tree = treeOf(top, "filter", paths);
    return tree;
  }

  function treeOf(node, at, paths) {
    if (!node.parts) {
      paths.set(at, node);
      const kind = kindOf(node.column);
      const shape = shapeOf(kind, node.op);
      return { column: node.column, op: node.op, ...(shape === "none" ? {} : { value: sent(kind, shape, node.value) }) };
    }
    const filled = node.parts.filter(isFilled);
    if (!filled.length) return null;
    const isNot = node.joint.startsWith("not-");
    const inside = isNot ? `${at}.not` : at;
    const joint = node.joint.replace("not-", "");
    let tree;
    if (filled.length === 1) tree = treeOf(filled[0], inside, paths);
    else tree = { [joint]: filled.map((part, number) => treeOf(part, `${inside}.${joint}[${number}]`, paths)) };
    if (!paths.has(at)) paths.set(at, node);
    return isNot ? { not: tree } : tree;
  }

  function isFilled(node) {
    return node.parts ? node.parts.some(isFilled) : true;
  }

  // -- Values --
  const columnOf = (key) => columns().find((column) => column.key === key);
  const kindOf = (key) => columnOf(key)?.kind ?? "text";
  const operatorsOf = (kind) => offered.operators[kind].filter(({ op }) => !flat || offered.rules[kind].includes(op));
  const shapeOf = (kind, op) => offered.operators[kind].find((each) => each.op === op)?.value ?? "one";

  function one(kind, text) {
    if (kind === "integer" && typeof text === "string" && /^-?\d+$/.test(text.trim()) && Number.isSafeInteger(Number(text))) return Number(text);
    if (kind === "boolean" && typeof text === "string") return text === "true";
    return typeof text === "string" && !["text", "phone"].includes(kind) ? text.trim() : (text ?? "");
  }

  function sent(kind, shape, value) {
    if (shape === "many") return lines(value).map((text) => one(kind, text));
    if (shape === "two") return (Array.isArray(value) ? value : ["", ""]).map((text) => one(kind, text));
    if (shape === "relative") {
      const { unit = "day", amount = "" } = value ?? {};
      return { unit, amount: /^\d+$/.test(String(amount)) ? Number(amount) : amount };
    }
    return one(kind, Array.isArray(value) || (value && typeof value === "object") ? "" : value);
  }

  const lines = (value) => (Array.isArray(value) ? value : String(value ?? "").split("\n").filter((line) => line !== ""));

  function changed({ draw = true, say = "" } = {}) {
    if (draw) render();
    if (say) announce(say);
    onchange();
  }

  // -- Drawing --
  function render() {
    lists = 0;
    root.replaceChildren(groupElement(top, null, 1));
    if (focusOn) root.querySelector(`[data-node-focus="yes"]`)?.focus();
    focusOn = null;
  }

  function heightAllows(depth) {
    return !flat && depth + 2 <= offered.most.depth;
  }

  function groupElement(node, parent, depth) {
    const joints = flat ? JOINTS.slice(0, 2) : JOINTS;
    const name = parent ? "Group of conditions" : root.dataset.label || "Conditions";
    const bare = !parent && node.parts.length < 2 && !node.joint.startsWith("not-");
    return el(
      "fieldset",
      { class: parent ? "group" : "group outermost", "data-group": String(depth) },
      el("legend", { class: "visually-hidden" }, name),
      bare
        ? null
        : el(
            "div",
            { class: "group-head" },
            select("How the conditions are joined", joints, node.joint, (joint) => {
              node.joint = joint;
              changed({ draw: false });
            }, { "data-join": true }),
            parent ? button("Take the group out", "✕", () => takeOut(parent, node), { class: "icon", "data-remove": true }) : null,
          ),
      errorList(errors.get(node) ?? []),
      node.parts.length
        ? el("ul", { class: "conditions" }, node.parts.map((part) => el("li", {}, part.parts ? groupElement(part, node, depth + 1) : leafElement(part, node))))
        : null,
      el(
        "div",
        { class: "group-foot" },
        button("Add a condition", "+ Condition", () => addLeaf(node), { class: "link", "data-add-condition": true }),
        heightAllows(depth) ? button("Add a group of conditions", "+ Group", () => addGroup(node), { class: "link", "data-add-group": true }) : null,
      ),
    );
  }

  function addLeaf(node) {
    const first = columnOf("status") ?? columns()[0];
    const leaf = { column: first.key, op: operatorsOf(first.kind)[0].op, value: undefined };
    node.parts.push(leaf);
    focusOn = leaf;
    changed({ say: "Condition added." });
  }

  function addGroup(node) {
    const inner = group(node.joint.endsWith("any") ? "all" : "any");
    node.parts.push(inner);
    addLeaf(inner);
  }

  function takeOut(parent, node) {
    parent.parts.splice(parent.parts.indexOf(node), 1);
    changed({ say: node.parts ? "Group taken out." : "Condition taken out." });
    root.querySelector("[data-add-condition]")?.focus();
  }

  function leafElement(node, parent) {
    const kind = kindOf(node.column);
    const known = operatorsOf(kind);
    const chosen = offered.operators[kind].find(({ op }) => op === node.op);
    const operators = known.filter(({ op, double }) => !double || op === node.op).map(({ op, words }) => [op, words]);
    if (chosen && !operators.some(([op]) => op === node.op)) operators.push([chosen.op, chosen.words]);
    const element = el(
      "div",
      { class: "condition", "data-condition": node.column ?? "" },
      columnSelect("Column of the condition", columns(), node.column, (key) => {
        const before = kindOf(node.column);
        node.column = key;
        const after = kindOf(key);
        if (before !== after && !operatorsOf(after).some(({ op }) => op === node.op)) node.op = operatorsOf(after)[0].op;
        if (before !== after) node.value = undefined;
        focusOn = node;
        changed();
      }, { "data-column": true, "data-node-focus": focusOn === node ? "yes" : null }),
      select("Operator", operators, node.op, (op) => {
        if (shapeOf(kind, op) !== shapeOf(kind, node.op)) node.value = undefined;
        node.op = op;
        changed();
      }, { "data-op": true }),
      valueElement(node, kind, shapeOf(kind, node.op)),
      button("Take the condition out", "✕", () => takeOut(parent, node), { class: "icon", "data-remove": true }),
      errorList(errors.get(node) ?? []),
    );
    return element;
  }

  function valueElement(node, kind, shape) {
    const set = (value) => {
      node.value = value;
      if (errors.delete(node)) document.activeElement?.closest(".condition")?.querySelector(".errorlist")?.remove();
      changed({ draw: false });
    };
    if (shape === "none") return el("span", { class: "value" });
    if (shape === "many") {
      const area = el("textarea", { rows: "3", "aria-label": "Values, one a line", placeholder: "one a line", "data-value": true, oninput: () => set(area.value) });
      area.value = lines(node.value).join("\n");
      return el("span", { class: "value" }, area);
    }
    if (shape === "relative") {
      const value = node.value && typeof node.value === "object" ? node.value : { unit: "day", amount: "" };
      const amount = el("input", {
        type: "number", min: "1", "aria-label": "How many", value: value.amount, "data-value": true,
        oninput: () => set({ unit: unit.value, amount: amount.value }),
      });
      const unit = select("Unit", offered.units.map((name) => [name, `${name}s`]), value.unit, () => set({ unit: unit.value, amount: amount.value }), { "data-unit": true });
      return el("span", { class: "value two" }, amount, unit, node.op === "more_than_ago" ? "ago" : null);
    }
    if (shape === "two") {
      const both = Array.isArray(node.value) ? node.value : ["", ""];
      const inputs = ["First value", "Last value"].map((label, number) =>
        input(label, kind, both[number], node.column, (value) => {
          both[number] = value;
          set([...both]);
        }),
      );
      return el("span", { class: "value two" }, inputs[0], "and", inputs[1]);
    }
    if (kind === "boolean") {
      if (node.value === undefined) node.value = true;
      return el("span", { class: "value" }, select("Value", [["true", "true"], ["false", "false"]], String(node.value), (value) => set(value === "true"), { "data-value": true }));
    }
    return el("span", { class: "value" }, input("Value", kind, node.value, node.column, set));
  }

  function input(label, kind, value, key, set) {
    const text = value === undefined || value === null || typeof value === "object" ? "" : String(value);
    const isTime = kind === "date" || kind === "datetime";
    const type = isTime && (text === "" || DAY.test(text)) ? "date" : "text";
    const element = el("input", { type, "aria-label": label, value: text, "data-value": true, oninput: () => set(element.value) });
    if (kind === "integer" || kind === "decimal") element.inputMode = "decimal";
    const values = suggested(key);
    if (values.length) {
      const id = `suggested-${root.id || "filter"}-${(lists += 1)}`;
      element.setAttribute("list", id);
      return el("span", { class: "suggesting" }, element, el("datalist", { id }, values.map((each) => el("option", { value: each }))));
    }
    if (kind !== "datetime") return element;
    // A day is what people mean; a time to the second is there for those who need it.
    const other = button(type === "date" ? "Write a time in place of a day" : "Choose a day in place of a time", type === "date" ? "time…" : "day…", () => {
      const toText = element.type === "date";
      element.type = toText ? "text" : "date";
      if (toText) element.placeholder = "2024-01-31T23:59:59Z";
      else if (!DAY.test(element.value)) element.value = "";
      other.textContent = toText ? "day…" : "time…";
      set(element.value);
      element.focus();
    }, { class: "link small" });
    return el("span", { class: "suggesting" }, element, other);
  }

  render();
  return {
    tree: () => toTree(),
    set(tree) {
      top = fromTree(tree);
      errors = new Map();
      render();
    },
    // The columns, or what is suggested, are others now; the conditions stay.
    refresh: render,
    // Adds a tree that must hold too.
    add(tree) {
      const mine = toTree();
      top = fromTree(mine ? { all: [tree, mine] } : tree);
      render();
    },
    // Shows errors at their conditions; gives back those that have no place here.
    show(list) {
      const paths = new Map();
      toTree(paths);
      errors = new Map();
      const rest = [];
      for (const { field, detail } of list) {
        let at = field;
        while (at && !paths.has(at)) at = at.replace(/(\.[^.[\]]+|\[\d+\])$/, "") === at ? "" : at.replace(/(\.[^.[\]]+|\[\d+\])$/, "");
        const node = paths.get(at) ?? (field.startsWith("filter") ? top : null);
        if (node) errors.set(node, [...(errors.get(node) ?? []), detail]);
        else rest.push({ field, detail });
      }
      render();
      return rest;
    },
  };
}

// A select of columns, the organization's own in a group of their own.
export function columnSelect(label, columns, chosen, onchange, attributes = {}) {
  const option = ({ key, title }) => el("option", { value: key }, title === key ? key : `${title} (${key})`);
  const own = columns.filter(({ group }) => group);
  const options = columns.filter(({ group }) => !group).map(option);
  if (own.length) options.push(el("optgroup", { label: own[0].group }, own.map(option)));
  if (chosen && !columns.some(({ key }) => key === chosen)) options.unshift(el("option", { value: chosen }, `${chosen}`));
  const element = el("select", { "aria-label": label, onchange: () => onchange(element.value), ...attributes }, options);
  if (chosen) element.value = chosen;
  return element;
}
