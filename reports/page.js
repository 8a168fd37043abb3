"use strict";

const specs = JSON.parse(document.getElementById("data").textContent);
const options = { mode: "vega-lite", renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { theme: "custom", disableDefaultStyle: true } };
for (const plot of document.querySelectorAll("[data-chart]")) {
  vegaEmbed(plot, specs[plot.dataset.chart], options).then(() => {
    plot.querySelector("svg").setAttribute("aria-hidden", "true"); // the place around it has role and text
  }).catch((error) => {
    plot.textContent = `This chart could not be drawn: ${error.message}`;
  });
}

// What lies left of the slider is shown up to where it stands; the arrow keys move it.
for (const slider of document.querySelectorAll(".pictures input")) {
  const move = () => {
    slider.parentElement.style.setProperty("--at", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value} % ${slider.dataset.left}`);
  };
  slider.addEventListener("input", move);
  move();
}

for (const stage of document.querySelectorAll(".stage")) {
  const states = [...stage.querySelectorAll("img[data-label]")];
  const name = stage.querySelector(".side.right");
  stage.addEventListener("change", (event) => {
    if (event.target.type !== "radio") return;
    const chosen = Number(event.target.value);
    states.forEach((picture, place) => { picture.hidden = place !== chosen; });
    if (name) name.textContent = states[chosen].dataset.label;
  });
}
