// Elements without markup in texts: what people typed is never read as HTML.

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function button(label, text, onclick, attributes = {}) {
  return el("button", { type: "button", "aria-label": label, title: label, onclick, ...attributes }, text);
}

// A select of [value, text] pairs; a chosen value that is not among them is kept, for what was saved before must not change by being shown.
export function select(label, pairs, chosen, onchange, attributes = {}) {
  const known = pairs.some(([value]) => value === chosen);
  const all = known || chosen === undefined || chosen === null || chosen === "" ? pairs : [[chosen, `${chosen} (gone)`], ...pairs];
  const options = all.map(([value, text]) => el("option", { value }, text));
  const element = el("select", { "aria-label": label, onchange: () => onchange(element.value), ...attributes }, options);
  if (chosen !== undefined && chosen !== null) element.value = chosen;
  return element;
}

export function errorList(texts) {
  return texts.length ? el("ul", { class: "errorlist" }, texts.map((text) => el("li", {}, text))) : null;
}

export function announce(text) {
  const region = document.querySelector("[data-announce]");
  if (!region) return;
  // The same text twice is news too.
  region.textContent = "";
  setTimeout(() => (region.textContent = text), 30);
}

export const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
