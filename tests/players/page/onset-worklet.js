// Posts the context time of the first loud sample after silence: the start of a click.

const LOUD = 0.2;
const SILENT_SECONDS = 0.3; // shorter pauses belong to the same click

class Onset extends AudioWorkletProcessor {
  #lastLoud = -1;

  process([input]) {
    const samples = input[0] ?? [];
    for (let i = 0; i < samples.length; i += 1) {
      if (Math.abs(samples[i]) > LOUD) this.#loud(currentTime + i / sampleRate);
    }
    return true;
  }

  #loud(time) {
    if (time - this.#lastLoud > SILENT_SECONDS) this.port.postMessage(time);
    this.#lastLoud = time;
  }
}

registerProcessor("onset", Onset);
