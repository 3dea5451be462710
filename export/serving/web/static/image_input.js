// An image as input: chosen, dropped, pasted, drawn, or an example. Small ones can be drawn with a mouse, a finger or keys.
import { element, guarded, paint, range } from "./ui.js";

const DRAWN = 64; // pixels: up to this size an image can be drawn
const SHOWN = 280; // pixels of the canvas that a small image is drawn on

export class ImageInput {
  // `tensor` is the input of the contract; `onChange` is called with the values of a new image.
  constructor(container, tensor, onChange) {
    [this.height, this.width, this.channels] = tensor.shape.slice(1);
    [this.low, this.high] = range(tensor);
    this.name = tensor.name;
    this.scale = Math.max(1, Math.ceil(SHOWN / Math.max(this.height, this.width)));
    this.canDraw = Math.max(this.height, this.width) <= DRAWN;
    this.changed = guarded(onChange);
    this.dark = true; // the ground on which lines are drawn
    this.pen = { x: this.width / 2, y: this.height / 2, down: false };
    this.build(container);
    this.clear();
  }

  build(container) {
    this.canvas = element("canvas", { width: this.width * this.scale, height: this.height * this.scale });
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    const [file, camera] = [{}, { capture: "environment" }].map((extra) => {
      const chosen = element("input", { type: "file", accept: "image/*", ...extra });
      chosen.addEventListener("change", guarded(() => chosen.files[0] && this.read(chosen.files[0])));
      return chosen;
    });
    this.fit = element("select", {}, element("option", { value: "stretch", textContent: "stretched" }), element("option", { value: "crop", textContent: "cropped" }));
    const invert = element("button", { type: "button", textContent: "Invert" });
    invert.addEventListener("click", () => this.invert());
    this.buttons = element("div", { className: "row" });
    const box = element(
      "div", { className: "drop" },
      this.canvas,
      this.buttons,
      element("label", {}, this.name === "image" ? "Image file " : `Image file for ${this.name} `, file),
      element("label", { className: "camera" }, "Take a picture ", camera),
      element("p", { textContent: "Or drop one here, or paste one." }),
      element("label", {}, "An image of another shape is ", this.fit),
    );
    this.buttons.append(invert);
    if (this.canDraw) this.allowDrawing();
    else this.canvas.setAttribute("role", "img"), this.canvas.setAttribute("aria-label", `The image that the model sees as ${this.name}`);
    container.append(box);
    box.addEventListener("dragover", (event) => { event.preventDefault(); box.classList.add("over"); });
    box.addEventListener("dragleave", () => box.classList.remove("over"));
    box.addEventListener("drop", guarded((event) => {
      event.preventDefault();
      box.classList.remove("over");
      if (event.dataTransfer.files[0]) return this.read(event.dataTransfer.files[0]);
    }));
    document.addEventListener("paste", guarded((event) => {
      const image = Array.from(event.clipboardData.files).find((candidate) => candidate.type.startsWith("image/"));
      if (image) return this.read(image);
    }));
  }

  allowDrawing() {
    const { canvas } = this;
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Drawing area: arrow keys move the pen, Space lowers and lifts it, Delete clears");
    const clear = element("button", { type: "button", textContent: "Clear" });
    clear.addEventListener("click", () => { this.clear(); this.changed(this.values()); });
    this.buttons.prepend(clear);
    this.buttons.append(element("span", { textContent: "Draw with the mouse, a finger, or arrow keys and Space." }));
    const at = (event) => [(event.offsetX * this.width) / canvas.clientWidth, (event.offsetY * this.height) / canvas.clientHeight];
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      [this.pen.x, this.pen.y] = at(event);
      this.line(this.pen.x, this.pen.y);
    });
    canvas.addEventListener("pointermove", (event) => event.buttons && this.line(...at(event)));
    canvas.addEventListener("pointerup", () => this.changed(this.values()));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (event.key === " ") this.pen.down = !this.pen.down;
      else if (event.key === "Delete") this.clear();
      else if (!step) return;
      event.preventDefault();
      const x = Math.min(this.width, Math.max(0, this.pen.x + (step?.[0] ?? 0)));
      const y = Math.min(this.height, Math.max(0, this.pen.y + (step?.[1] ?? 0)));
      if (this.pen.down) this.line(x, y), this.changed(this.values());
      [this.pen.x, this.pen.y] = [x, y];
    });
  }

  line(x, y) {
    const { context, scale } = this;
    context.strokeStyle = this.dark ? "#fff" : "#000";
    context.lineWidth = (2 * scale * this.width) / 28;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    context.moveTo(this.pen.x * scale, this.pen.y * scale);
    context.lineTo(x * scale, y * scale);
    context.stroke();
    [this.pen.x, this.pen.y] = [x, y];
  }

  clear() {
    this.context.fillStyle = this.dark && this.canDraw ? "#000" : "#fff";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.exact = null;
  }

  // Show values of the model's own range, which are then passed on unchanged.
  show(values) {
    const small = element("canvas");
    paint(small, [this.height, this.width, this.channels], values, this.low, this.high);
    this.context.imageSmoothingEnabled = false;
    this.context.drawImage(small, 0, 0, this.canvas.width, this.canvas.height);
    const border = Array.from(values.subarray(0, this.width * this.channels));
    this.dark = border.reduce((a, b) => a + b, 0) / border.length < (this.low + this.high) / 2;
    this.exact = values;
    return this.changed(values);
  }

  async read(file) {
    let image;
    try {
      image = await createImageBitmap(file); // turned as its EXIF says
    } catch {
      throw new Error("This file is not an image that the browser can read.");
    }
    const { canvas, context } = this;
    this.exact = null;
    context.fillStyle = "#fff"; // below transparent pixels
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = image.width !== this.width || image.height !== this.height;
    context.imageSmoothingQuality = "high";
    const [w, h] = this.fit.value === "crop" ? this.inner(image) : [image.width, image.height];
    context.drawImage(image, (image.width - w) / 2, (image.height - h) / 2, w, h, 0, 0, canvas.width, canvas.height);
    return this.changed(this.values());
  }

  inner(image) {
    const scale = Math.min(image.width / this.width, image.height / this.height);
    return [scale * this.width, scale * this.height];
  }

  invert() {
    const { canvas, context } = this;
    const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < pixels.data.length; i++) if (i % 4 < 3) pixels.data[i] = 255 - pixels.data[i];
    context.putImageData(pixels, 0, 0);
    this.dark = !this.dark;
    this.exact = null;
    return this.changed(this.values());
  }

  // Float32Array (height, width, channels): the mean of the pixels that each value covers.
  values() {
    if (this.exact) return this.exact;
    const { width, height, channels, scale, low, high } = this;
    const { data } = this.context.getImageData(0, 0, this.canvas.width, this.canvas.height);
    const values = new Float32Array(height * width * channels);
    for (let y = 0; y < height * scale; y++) {
      for (let x = 0; x < width * scale; x++) {
        const from = 4 * (y * width * scale + x);
        const to = channels * (Math.floor(y / scale) * width + Math.floor(x / scale));
        if (channels === 1) values[to] += 0.299 * data[from] + 0.587 * data[from + 1] + 0.114 * data[from + 2];
        else for (let c = 0; c < channels; c++) values[to + c] += data[from + c];
      }
    }
    return values.map((sum) => low + ((high - low) * sum) / (255 * scale * scale));
  }
}

// Whether all pixels are the same.
export function isBlank(values) {
  return values.every((value) => value === values[0]);
}

// Buttons with thumbnails of the golden rows of the bundle, and the answer to each; `show` is called with the values of one, and its number.
export function addExamples(container, tensor, examples, name, show, answer = () => "") {
  for (let i = 0; i < examples.rows; i++) {
    const values = Float32Array.from(examples.input(name, i));
    if (isBlank(values)) continue; // one of the cases of the proof, which shows nothing
    const thumbnail = element("canvas");
    paint(thumbnail, tensor.shape.slice(1), values, ...range(tensor));
    const button = element("button", { type: "button", ariaLabel: `Example ${container.children.length + 1} ${answer(i)}` }, thumbnail, answer(i));
    button.addEventListener("click", guarded(() => show(values, i)));
    container.append(button);
  }
}
