// A format's own options, as it declares them; a preset brings the values of others with it.
import { el, errorList, select } from "./dom.js";

const LABELS = { ",": "comma", ";": "semicolon", "\t": "tab", "|": "bar |", ".": "point" };
const words = (key) => key.charAt(0).toUpperCase() + key.slice(1).replaceAll("_", " ");

// root: where to draw; format(): the chosen one's name; mayUnguard(): whether formulas may go out as they are.
export function formatOptions(root, { format, offered, mayUnguard, onchange }) {
  const chosen = {}; // by format, for those who come back to it: what somebody has said
  let errors = [];

  const declared = () => offered.formats[format()] ?? [];
  const given = () => chosen[format()] ?? {};

  function settled() {
    const values = Object.fromEntries(declared().map((option) => [option.key, option.default]));
    for (const option of declared()) Object.assign(values, option.presets[given()[option.key] ?? option.default] ?? {});
    return { ...values, ...given() };
  }

  function set(option, value) {
    const said = { ...given(), [option.key]: value };
    // What a preset brings holds until somebody says otherwise after it.
    for (const key of Object.values(option.presets).flatMap(Object.keys)) delete said[key];
    chosen[format()] = said;
    errors = errors.filter(({ field }) => field !== `options.${option.key}`);
    render();
    root.querySelector(`[data-option="${option.key}"] :is(select, input)`)?.focus();
    onchange();
  }

  function control(option, value, id) {
    if (!option.choices.length) return el("input", { type: "checkbox", id, checked: value, onchange: (event) => set(option, event.target.checked) });
    const open = option.choices.filter((choice) => !(option.key === "guard" && choice === "none") || mayUnguard() || value === "none");
    const input = select(words(option.key), open.map((choice) => [choice, LABELS[choice] ?? choice]), value, (choice) => set(option, choice), { id });
    input.removeAttribute("aria-label"); // it has a label of its own
    return input;
  }

  function render() {
    const values = settled();
    root.replaceChildren(
      ...declared().map((option) => {
        const id = `id_option_${option.key}`;
        return el(
          "div",
          { class: option.choices.length ? "field" : "field check", "data-option": option.key },
          el("label", { for: id }, words(option.key)),
          control(option, values[option.key], id),
          el("p", { class: "help" }, option.help.replaceAll("`", "")),
          errorList(errors.filter(({ field }) => field === `options.${option.key}`).map(({ detail }) => detail)),
        );
      }),
    );
  }

  return {
    given,
    set(options) {
      chosen[format()] = options;
      render();
    },
    refresh: render,
    // Shows errors at their options; gives back those that have no place here.
    show(all) {
      const known = new Set(declared().map(({ key }) => `options.${key}`));
      errors = all.filter(({ field }) => known.has(field));
      render();
      return all.filter((error) => !errors.includes(error));
    },
  };
}
