// A config or a segment: its form's columns and conditions, and beside them what they give now.
import { columnPicker } from "./columns.js";
import { filterBuilder } from "./conditions.js";
import { columnsOf, initial, keeper, labelOf, offeredBy, offerSegments, settleErrors, withoutEnter } from "./kit.js";
import { preflight } from "./preflight.js";

const form = document.querySelector("[data-saver]");
if (form) start();

function start() {
  const page = initial();
  const { offered } = page;
  const field = (name) => form.elements[name];
  const [spec, organization, dataset] = ["spec", "organization", "dataset"].map(field);
  const history = keeper();
  const plain = ["name", "description", "dataset", "organization", "segment_id", "timezone", "date_format"];
  const found = page.errors.length ? null : history.found();
  // What was kept of a version that somebody has changed since would silently take the other's place.
  const version = field("version")?.value;
  const kept = found?.version === version ? found : null;
  const begun = { ...page.choices, ...kept };
  for (const name of kept ? plain : []) if (field(name)) field(name).value = kept[name];
  const segment = field("segment_id");
  let own = { attributes: [], segments: [], suggested: {} };
  let shown = dataset.value;
  const memory = {};
  let ready = false;

  const columns = () => columnsOf(offered, dataset.value, own.attributes);
  const filter = filterBuilder(form.querySelector("[data-filter]"), {
    columns,
    offered,
    flat: page.kind === "segment",
    suggested: (key) => (dataset.value === "tasks" ? (own.suggested[key] ?? []) : []),
    onchange: changed,
  });
  const box = form.querySelector("[data-columns]");
  const picker = box && columnPicker(box, { columns, openKeys: () => offered.datasets[dataset.value]?.open_keys ?? "", offered, onchange: changed });
  const look = preflight(form.querySelector("[data-preflight]"), {
    url: page.preflight_url,
    token: field("csrfmiddlewaretoken").value,
    ask: () =>
      ready && organization.value
        ? {
            organization: Number(organization.value),
            dataset: dataset.value,
            window: "all",
            type: "custom",
            filter: filter.tree(),
            // Which rows is the question here, not what a spreadsheet does to a CSV.
            ...(page.kind === "segment" ? { format: "json" } : {}),
            ...(segment?.value ? { segment_id: Number(segment.value) } : {}),
            ...(picker ? { columns: picker.columns(), timezone: field("timezone").value, date_format: field("date_format").value } : {}),
          }
        : null,
    labelled: (name) => labelOf(form, picker?.columns() ?? [], name),
    missing: () => (organization.value ? "" : "Choose an organization."),
  });

  const state = () => JSON.stringify({ filter: filter.tree(), ...(picker ? { columns: picker.columns() } : {}) });

  const all = () => ({ ...JSON.parse(state()), version, ...Object.fromEntries(plain.filter((name) => field(name)).map((name) => [name, field(name).value])) });

  function changed() {
    if (!ready) return;
    spec.value = state();
    history.soon(all());
    look.refresh();
  }

  async function theirs() {
    const wanted = organization.value;
    const found = wanted ? await offeredBy(page.offered_url, wanted) : null;
    if (wanted !== organization.value) return;
    own = found ?? { attributes: [], segments: [], suggested: {} };
    if (segment) offerSegments(segment, own.segments, dataset.value);
    filter.refresh();
    picker?.refresh();
  }

  organization.addEventListener("change", async () => {
    await theirs();
    changed();
  });
  dataset.addEventListener("change", () => {
    memory[shown] = { columns: picker?.columns(), tree: filter.tree() };
    shown = dataset.value;
    const all = columns().filter(({ group }) => !group).map(({ key, title }) => ({ key, title }));
    filter.set(memory[shown]?.tree ?? null);
    picker?.set(memory[shown]?.columns ?? all);
    if (segment) offerSegments(segment, own.segments, dataset.value);
  });
  form.addEventListener("input", changed);
  form.addEventListener("change", changed);
  form.addEventListener("submit", () => {
    if (!ready) return;
    spec.value = state();
    history.now(all());
  });
  withoutEnter(form);

  async function begin() {
    picker?.set(Array.isArray(begun.columns) ? begun.columns : []);
    filter.set(begun.filter);
    await theirs();
    if (page.errors.length) settleErrors(page.errors, filter.show(picker ? picker.show(page.errors) : page.errors), (name) => labelOf(form, picker?.columns() ?? [], name));
    ready = true;
    form.setAttribute("data-ready", "yes");
    changed();
  }

  begin();
}
