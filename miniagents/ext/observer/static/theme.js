// Before the first paint: the theme that was chosen last, or that of the system.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("observer.theme"); } catch { /* storage may be off */ }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => { document.documentElement.dataset.theme = chosen ?? (dark.matches ? "dark" : "light"); };
  apply();
  dark.addEventListener("change", apply);
  window.observerTheme = (theme) => { chosen = theme; apply(); try { localStorage.setItem("observer.theme", theme); } catch { /* the same */ } };
})();
