// A sound in, from the microphone or a file; the scores of its classes out, or its outputs as numbers.
import { ask, best, byId, data, element, golden, guarded, open, showNothing, showScores, showValues, size, tensor } from "./ui.js";

const EVERY = 200; // milliseconds between two calls while it listens

open(async (load) => {
  const { sound, scores } = data.options;
  const input = tensor("inputs", sound);
  const length = size(input.shape);
  const rate = input.sample_rate;

  function draw(samples) {
    const canvas = byId("wave"), context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.strokeStyle = getComputedStyle(document.body).getPropertyValue("--accent");
    context.beginPath();
    for (let x = 0; x < canvas.width; x++) {
      const value = samples[Math.floor((x * samples.length) / canvas.width)] ?? 0;
      context.lineTo(x, (canvas.height / 2) * (1 - Math.max(-1, Math.min(1, value))));
    }
    context.stroke();
  }

  const show = (outputs) => (scores ? showScores(outputs[scores], tensor("outputs", scores).meaning) : showValues(outputs));

  async function run(samples) {
    draw(samples);
    if (samples.every((value) => Math.abs(value) < 1e-4)) return showNothing("It is silent.");
    show(await ask(await load(), data.endpoint.name, { [sound]: samples }));
  }

  // The loudest part of a file that is long enough for the model; shorter ones are in the middle of silence.
  async function read(file) {
    const context = new OfflineAudioContext(1, 1, rate);
    let decoded;
    try {
      decoded = (await context.decodeAudioData(await file.arrayBuffer())).getChannelData(0);
    } catch {
      throw new Error("This file is not a sound that the browser can read.");
    }
    let best = 0, most = -1;
    for (let start = 0; start + length <= decoded.length; start += Math.max(1, length >> 1)) {
      const energy = decoded.subarray(start, start + length).reduce((sum, value) => sum + value * value, 0);
      if (energy > most) [best, most] = [start, energy];
    }
    const samples = new Float32Array(length);
    const part = decoded.subarray(best, best + length);
    samples.set(part, (length - part.length) >> 1);
    return run(samples);
  }

  let listening = null;
  async function listen() {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => {
      throw new Error("The browser gives no microphone to this page.");
    });
    const context = new AudioContext({ sampleRate: rate });
    const analyser = context.createAnalyser();
    analyser.fftSize = Math.min(32768, Math.max(32, 2 ** Math.ceil(Math.log2(length))));
    context.createMediaStreamSource(stream).connect(analyser);
    const heard = new Float32Array(analyser.fftSize);
    const timer = setInterval(guarded(() => {
      analyser.getFloatTimeDomainData(heard);
      const samples = new Float32Array(length);
      samples.set(heard.subarray(Math.max(0, heard.length - length)));
      return run(samples);
    }), EVERY);
    return () => { clearInterval(timer); stream.getTracks().forEach((track) => track.stop()); return context.close(); };
  }

  byId("record").addEventListener("click", guarded(async () => {
    const stop = listening;
    listening = null;
    if (stop) await stop();
    else listening = await listen();
    byId("record").textContent = listening ? "Stop" : "Listen to the microphone";
    byId("record").setAttribute("aria-pressed", String(listening !== null));
  }));
  byId("file").addEventListener("change", guarded(() => byId("file").files[0] && read(byId("file").files[0])));
  const examples = await golden(data.endpoint.name);
  const play = (row) => run(Float32Array.from(examples.input(sound, row)));
  byId("examples").append(scores ? "Examples, with the answers of the model:" : "Examples:", ...Array.from({ length: examples.rows }, (_, i) => {
    const name = scores ? best(examples.output(scores, i), tensor("outputs", scores).meaning) : `${i + 1}`;
    const button = element("button", { type: "button", textContent: name, ariaLabel: `Example ${i + 1}: ${name}` });
    button.addEventListener("click", guarded(() => play(i)));
    return button;
  }));
  show(Object.fromEntries(examples.names.map((name) => [name, examples.output(name, 0)]))); // by Python, until the model is loaded
  await play(0);
});
