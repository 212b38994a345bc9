// Filters that are open close by Escape and by a click elsewhere.
(() => {
  const open = () => document.querySelectorAll(".filters details[open]");
  document.addEventListener("click", (event) => {
    open().forEach((filter) => filter.contains(event.target) || filter.removeAttribute("open"));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open().forEach((filter) => {
      filter.removeAttribute("open");
      filter.querySelector("summary").focus();
    });
  });
})();
