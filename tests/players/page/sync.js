// Measures how far the sound is from the picture, for a source with a one-frame white flash and a click
// at the same instants (see README.md). Both sides are put on the element's own timeline:
//
//   picture  VideoFrame.timestamp of a shown frame that is white: exact, it is the media time itself.
//   sound    the sample at which an AudioWorklet sees the click, in the AudioContext's time, minus the
//            distance between the context's clock and video.currentTime.
//
// That distance is sampled many times a second. context.currentTime moves in steps of the device's buffer,
// video.currentTime is interpolated, so single samples differ by up to one step: the median of the samples
// near a click is taken. What constant is left is a property of the browser; it is measured once with a
// source that cannot be out of step (no B-frames, FLAC) and reported by README.md.

const WHITE = 128; // mean luma above this is the flash; the rest of the source is black
const SAMPLE_MS = 5;
const NEAR_SECONDS = 0.5; // samples this near to a click tell its clock distance
const PAIR_SECONDS = 0.4; // a flash and a click farther apart than this are not one event

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length ? sorted[Math.floor(sorted.length / 2)] : null;
};

export class SyncMeter {
  /** The context runs at 48 kHz, the rate of the test source, so that nothing is resampled. */
  static async create(video) {
    const context = new AudioContext({ sampleRate: 48000, latencyHint: "interactive" });
    await context.audioWorklet.addModule("/page/onset-worklet.js");
    await context.resume();
    return new SyncMeter(video, context);
  }

  constructor(video, context) {
    this.video = video;
    this.context = context;
    this.flashes = []; // media seconds
    this.onsets = []; // context seconds
    this.samples = []; // [context seconds, distance in seconds]
    this.shown = 0;
    this.canvas = new OffscreenCanvas(8, 8).getContext("2d", { willReadFrequently: true });
    this.listen();
    this.look();
  }

  listen() {
    const source = this.context.createMediaElementSource(this.video);
    const detector = new AudioWorkletNode(this.context, "onset");
    detector.port.onmessage = ({ data }) => this.onsets.push(data);
    source.connect(detector).connect(this.context.destination);
    setInterval(() => this.sampleClocks(), SAMPLE_MS);
  }

  sampleClocks() {
    if (this.video.paused || this.video.seeking) return;
    const { currentTime } = this.context;
    this.samples.push([currentTime, currentTime - this.video.currentTime]);
  }

  /** Look at each shown frame; the frame is taken as a VideoFrame so that picture and time belong together. */
  look() {
    this.video.requestVideoFrameCallback(() => {
      this.shown += 1;
      const frame = new VideoFrame(this.video);
      if (this.brightness(frame) > WHITE) this.noteFlash(frame.timestamp / 1e6);
      frame.close();
      this.look();
    });
  }

  noteFlash(time) {
    if (this.flashes.at(-1) !== time) this.flashes.push(time);
  }

  brightness(frame) {
    this.canvas.drawImage(frame, 0, 0, 8, 8);
    const { data } = this.canvas.getImageData(0, 0, 8, 8);
    return data.reduce((sum, value, i) => (i % 4 === 3 ? sum : sum + value), 0) / (data.length * 0.75);
  }

  /** An onset in context time, put on the media timeline. */
  mediaTime(onset) {
    const near = this.samples.filter(([time]) => Math.abs(time - onset) < NEAR_SECONDS);
    return near.length ? onset - median(near.map(([, distance]) => distance)) : null;
  }

  report() {
    const clicks = this.onsets.map((onset) => this.mediaTime(onset)).filter((time) => time !== null);
    const offsets = [];
    for (const flash of this.flashes) {
      const click = clicks.find((time) => Math.abs(time - flash) < PAIR_SECONDS);
      if (click !== undefined) offsets.push(click - flash);
    }
    return { flashes: this.flashes, clicks, offsets, medianOffset: median(offsets), framesShown: this.shown };
  }
}
