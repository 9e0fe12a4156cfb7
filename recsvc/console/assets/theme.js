// Before anything is drawn: the theme that was chosen, else the system's.
const wanted = matchMedia("(prefers-color-scheme: dark)");
const chosen = () => localStorage.getItem("recsvc-theme");
const dress = () => {
  document.documentElement.dataset.bsTheme = chosen() || (wanted.matches ? "dark" : "light");
};
wanted.addEventListener("change", dress);
dress();
