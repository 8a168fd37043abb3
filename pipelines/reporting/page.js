"use strict";

const specs = JSON.parse(document.getElementById("charts").textContent);
const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { theme: "custom", disableDefaultStyle: true } };
for (const plot of document.querySelectorAll("[data-chart]")) {
  vegaEmbed(plot, specs[plot.dataset.chart], options).catch((error) => {
    plot.textContent = `This chart could not be drawn: ${error.message}`;
  });
}

const dialog = document.getElementById("zoom");
let states = [];
let shown = 0;

function show(place) {
  shown = (place + states.length) % states.length;
  const picture = dialog.querySelector("img");
  picture.src = states[shown].src;
  picture.alt = states[shown].alt;
  dialog.querySelector("span").textContent = states[shown].alt;
}

for (const button of document.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    states = [...button.closest(".pictures").querySelectorAll("img")];
    show(states.indexOf(button.querySelector("img")));
    dialog.showModal();
  });
}
for (const button of dialog.querySelectorAll("[data-step]")) {
  button.addEventListener("click", () => show(shown + Number(button.dataset.step)));
}
dialog.querySelector("[data-close]").addEventListener("click", () => dialog.close());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
dialog.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (step) { event.preventDefault(); show(shown + step); }
});
