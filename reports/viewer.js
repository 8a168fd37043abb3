"use strict";

const photos = JSON.parse(document.getElementById("data").textContent);
const ZOOMS = [0, 1, 2, 4]; // pixels of the screen to one of the photo; 0 fits the picture in
const STEP = 60; // pixels of the screen that an arrow key moves

document.querySelectorAll(".viewer").forEach((root, number) => start(root, photos[number]));

function start(root, photo) {
  const one = (selector) => root.querySelector(selector);
  const all = (selector) => [...root.querySelectorAll(selector)];
  const pane = one(".pane"), slider = one(".cut"), handle = one(".handle"), flip = one("[data-act=flip]");
  const pictures = all(".picture"), last = photo.names.length - 1;
  const state = { left: 0, right: Math.min(1, last), show: "slider", held: false, zoom: 1, layer: "", place: 0, x: 0, y: 0, cut: 50 };
  const view = () => photo.views[state.place];
  const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

  // What is shown: both sides or one of them. Held, it is the other side than without.
  const shown = () => (!state.held ? state.show : state.show === "left" ? "right" : "left");

  function draw() {
    const show = shown(), picture = pictures[state.place];
    pictures.forEach((each) => { each.hidden = each !== picture; });
    picture.querySelectorAll(".version").forEach((image, version) => {
      const onLeft = show !== "right" && version === state.left, onRight = show !== "left" && version === state.right;
      image.hidden = !onLeft && !onRight;
      image.classList.toggle("left", onLeft && !onRight && show === "slider");
    });
    const drawn = drawLayers(picture, show);
    picture.classList.toggle("layered", drawn);
    const [first, second] = all(".side");
    first.textContent = photo.names[show === "right" ? state.right : state.left];
    second.textContent = photo.names[state.right];
    second.hidden = show !== "slider";
    handle.hidden = show !== "slider";
    slider.disabled = state.show !== "slider";
    mark();
    lay();
  }

  // A layer lies over the gray photo: of a version, or of all alike. Originals have neither bits nor errors.
  function drawLayers(picture, show) {
    let drawn = false;
    for (const side of ["left", "right"]) {
      const layer = picture.querySelector(`.layer[data-side=${side}]`);
      const source = state.layer === "saliency" ? view().saliency : state.layer ? view()[state.layer][state[side]] : null;
      layer.hidden = !source || (show !== "slider" && show !== side);
      if (source && layer.src !== source) layer.src = source;
      layer.classList.toggle("left", side === "left" && show === "slider");
      layer.classList.toggle("right", side === "right" && show === "slider");
      drawn ||= !layer.hidden;
    }
    return drawn;
  }

  function mark() {
    all("[data-choice]").forEach((choice) => { choice.value = state[choice.dataset.choice]; });
    for (const name of ["show", "zoom", "layer", "place"]) {
      all(`[data-${name}]`).forEach((input) => { input.checked = input.value === String(state[name]); });
    }
    all("[data-version]").forEach((button) => {
      const version = Number(button.dataset.version);
      button.closest("tr").classList.toggle("shown", version === state.left || version === state.right);
      button.setAttribute("aria-pressed", String(version === state.right));
    });
    all("[data-frame]").forEach((frame) => frame.classList.toggle("shown", Number(frame.dataset.frame) === state.place));
    flip.setAttribute("aria-pressed", String(state.held));
    const command = one(".command");
    command.hidden = !photo.commands[state.right];
    command.querySelector("code").textContent = photo.commands[state.right];
    const ramp = one(".ramp"), [low, high] = ramp.querySelectorAll("span");
    ramp.hidden = !state.layer;
    ramp.classList.toggle("even", state.layer === "saliency");
    low.textContent = { saliency: "matters least", bits: "no bits", errors: "no error" }[state.layer] || "";
    high.textContent = { saliency: "most", bits: `${(photo.mostBits || 0).toPrecision(2)} bits per pixel`, errors: "most" }[state.layer] || "";
  }

  // Where the picture lies in its pane, and how large.
  function scale() {
    const { width, height } = view(), pixel = 1 / window.devicePixelRatio;
    return state.zoom ? state.zoom * pixel : Math.min(pane.clientWidth / width, pane.clientHeight / height, pixel);
  }

  function lay() {
    const picture = pictures[state.place], by = scale();
    const [wide, high] = [view().width * by, view().height * by], [across, down] = [pane.clientWidth, pane.clientHeight];
    state.x = wide <= across ? (across - wide) / 2 : clamp(state.x, across - wide, 0);
    state.y = high <= down ? (down - high) / 2 : clamp(state.y, down - high, 0);
    picture.style.transform = `translate(${state.x}px, ${state.y}px) scale(${by})`;
    picture.classList.toggle("close", by * window.devicePixelRatio > 1);
    const cut = shown() === "slider" ? (state.cut / 100 * across - state.x) / by : 0;
    picture.style.setProperty("--cut", `${cut}px`);
    handle.style.left = `${state.cut}%`;
    slider.value = state.cut;
    slider.setAttribute("aria-valuetext", `${Math.round(state.cut)} % ${photo.names[state.left]}`);
    pane.style.touchAction = high <= down ? "pan-y" : "none";
  }

  // Zooms about the middle of the pane, or brings a point of the picture there.
  function zoomTo(zoom, point) {
    const before = scale(), middle = [pane.clientWidth / 2, pane.clientHeight / 2];
    const [x, y] = point || [(middle[0] - state.x) / before, (middle[1] - state.y) / before];
    state.zoom = zoom;
    state.x = middle[0] - x * scale();
    state.y = middle[1] - y * scale();
    draw();
  }

  function fitPane() {
    const tallest = Math.max(...photo.views.map((each) => each.height)) / window.devicePixelRatio;
    pane.style.height = `${Math.round(clamp(tallest, 260, Math.max(300, window.innerHeight * 0.72)))}px`;
  }

  function worst() {
    const version = state.right || state.left || 1;
    if (!state.right) state.right = version;
    const errors = photo.views.map((each) => each.blocks[version][3]);
    const place = errors.indexOf(Math.max(...errors));
    if (place !== state.place) hideBlocks();
    state.place = place;
    const [left, top, side] = view().blocks[version], block = pictures[place].querySelector(".block");
    const [wide, high] = [Math.min(side, view().width - left), Math.min(side, view().height - top)];
    Object.assign(block.style, { left: `${left}px`, top: `${top}px`, width: `${wide}px`, height: `${high}px` });
    block.hidden = false;
    zoomTo(4, [left + wide / 2, top + high / 2]);
    const where = `${view().left + left}, ${view().top + top}`;
    one(".said").textContent = `Worst block of ${photo.names[version]}: ${wide} × ${high} pixels at ${where} of the photo.`;
  }

  function hideBlocks() {
    all(".block").forEach((block) => { block.hidden = true; });
    one(".said").textContent = "";
  }

  function choose(changes) {
    if ("right" in changes) changes.right = clamp(changes.right, 0, last);
    if ("place" in changes || "right" in changes) hideBlocks();
    Object.assign(state, changes);
    draw();
  }

  function next(name) {
    const values = all(`[data-${name}]`).map((input) => input.value);
    if (!values.length) return;
    const value = values[(values.indexOf(String(state[name])) + 1) % values.length];
    choose({ [name]: name === "place" ? Number(value) : value });
  }

  const acts = {
    swap: () => choose({ left: state.right, right: state.left }),
    down: () => choose({ right: state.right - 1 }),
    up: () => choose({ right: state.right + 1 }),
    worst,
  };
  const zoomBy = (steps) => zoomTo(ZOOMS[clamp(ZOOMS.indexOf(state.zoom) + steps, 0, ZOOMS.length - 1)]);
  const keys = {
    f: () => choose({ show: state.show === "left" ? "right" : "left" }), s: () => choose({ show: "slider" }),
    "[": acts.down, "]": acts.up, x: acts.swap, w: worst, l: () => next("layer"), p: () => next("place"),
    "+": () => zoomBy(1), "=": () => zoomBy(1), "-": () => zoomBy(-1), "−": () => zoomBy(-1), 0: () => zoomTo(0),
  };
  const moves = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

  // What holds the other version up lets it go again: a button takes the focus from the picture when pressed.
  let holder = null;
  const hold = (by) => { if (!state.held) { holder = by; choose({ held: true }); } };
  const release = (by) => { if (holder === by) { holder = null; choose({ held: false }); } };

  pane.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const move = moves[event.key], act = keys[event.key.toLowerCase()];
    if (event.key === " ") hold(pane);
    else if (move && event.shiftKey) choose({ cut: clamp(state.cut - 2 * move[0], 0, 100) });
    else if (move) choose({ x: state.x + STEP * move[0], y: state.y + STEP * move[1] });
    else if (/^[1-9]$/.test(event.key)) choose({ right: Number(event.key) });
    else if (act) act();
    else return;
    event.preventDefault();
  });
  pane.addEventListener("keyup", (event) => { if (event.key === " ") release(pane); });
  pane.addEventListener("blur", () => release(pane));

  // Dragging the handle moves the slider; dragging the picture moves the picture.
  pane.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const slides = event.target === handle, from = [event.clientX - state.x, event.clientY - state.y];
    const box = pane.getBoundingClientRect();
    const drag = (moved) => choose(slides
      ? { cut: clamp((moved.clientX - box.left) / box.width * 100, 0, 100) }
      : { x: moved.clientX - from[0], y: moved.clientY - from[1] });
    const end = () => {
      pane.classList.remove("dragged");
      pane.removeEventListener("pointermove", drag);
    };
    pane.setPointerCapture(event.pointerId);
    pane.classList.toggle("dragged", !slides);
    pane.addEventListener("pointermove", drag);
    for (const name of ["pointerup", "pointercancel"]) pane.addEventListener(name, end, { once: true });
  });

  flip.addEventListener("pointerdown", (event) => { flip.setPointerCapture(event.pointerId); hold(flip); });
  flip.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") hold(flip); });
  for (const name of ["pointerup", "pointercancel", "keyup", "blur"]) flip.addEventListener(name, () => release(flip));
  flip.addEventListener("contextmenu", (event) => event.preventDefault());

  slider.addEventListener("input", () => choose({ cut: Number(slider.value) }));
  root.addEventListener("click", (event) => {
    const { act, version } = (event.target.closest("button") || root).dataset;
    if (version) choose({ right: Number(version) });
    else if (acts[act]) acts[act]();
  });
  root.addEventListener("change", ({ target }) => {
    if (target.dataset.choice) choose({ [target.dataset.choice]: Number(target.value) });
    else if ("zoom" in target.dataset) zoomTo(Number(target.value));
    else if ("place" in target.dataset) choose({ place: Number(target.value) });
    else if ("show" in target.dataset) choose({ show: target.value });
    else if ("layer" in target.dataset) choose({ layer: target.value });
  });

  fitPane();
  new ResizeObserver(lay).observe(pane);
  window.addEventListener("resize", () => { fitPane(); lay(); });
  zoomTo(1, [view().width / 2, view().height / 2]);
}
