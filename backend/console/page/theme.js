// The colours that were chosen, before the first paint; empty = as the system has it.
const CHOSEN = "console-colours";
document.documentElement.dataset.theme = localStorage.getItem(CHOSEN) ?? "";

document.addEventListener("DOMContentLoaded", () => {
  const choice = document.getElementById("theme");
  choice.value = document.documentElement.dataset.theme;
  choice.addEventListener("change", () => {
    document.documentElement.dataset.theme = choice.value;
    localStorage.setItem(CHOSEN, choice.value);
  });
});
