// Names for those who hear the page, where Django's forms leave them out: of its search boxes for long choices, and of a table's fields.
(() => {
  const wordsOf = (field) => {
    const label = field.id && document.querySelector(`label[for="${field.id}"]`);
    if (label) return label.textContent.trim().replace(/:$/, "");
    const cell = field.closest("td");
    return cell ? cell.closest("table").tHead.rows[0].cells[cell.cellIndex].textContent.trim().replace(/\?$/, "") : field.name;
  };

  const nameBox = (select) => {
    const box = select.parentElement.querySelector(".select2-selection");
    if (!box) return;
    const words = wordsOf(select);
    const chosen = box.querySelector(".select2-selection__rendered:not(ul)");
    box.setAttribute("aria-label", words);
    if (chosen) {
      // What is chosen is read where it stands, after the name.
      chosen.removeAttribute("role");
      chosen.removeAttribute("aria-readonly");
      box.id ||= `${select.id}-box`;
      box.setAttribute("aria-labelledby", `${box.id} ${chosen.id}`);
    }
    box.querySelector(".select2-search__field")?.setAttribute("aria-label", words);
  };

  const nameAll = (within) => {
    within.querySelectorAll("select.admin-autocomplete").forEach(nameBox);
    within.querySelectorAll(".tabular td :is(input, select):not([type=hidden])").forEach((field) => {
      if (!field.labels?.length) field.setAttribute("aria-label", wordsOf(field));
    });
  };

  // Later than jQuery's own start, which makes the boxes.
  window.addEventListener("load", () => setTimeout(() => nameAll(document)));
  document.addEventListener("formset:added", (event) => setTimeout(() => nameAll(event.target.parentElement)));
  // The box into which one types comes with the list below it.
  document.addEventListener("focusin", (event) => {
    if (event.target.matches(".select2-search--dropdown .select2-search__field")) event.target.setAttribute("aria-label", "Search");
  });
})();
