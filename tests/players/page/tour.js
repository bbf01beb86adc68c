// What a viewer does while a film plays: seeks, and the choice of another level; and what was shown then.
// The film tells the number of each frame by itself, as bars across the top of the picture: the time that a
// player claims is one thing, the picture that it shows another.

const BARS = 10; // one bit each, the lowest one leftmost
const LIGHT = 128;
const NEAR_SECONDS = 0.3; // a frame this near to where a seek began was on its way before it
const BEGIN_SECONDS = 0.3;
const STAY_SECONDS = 0.5; // at a new level, before the next one is asked for

/** Resolve once the condition holds; play.mjs ends a playback that waits for ever. */
function until(condition) {
  return new Promise((resolve) => {
    const look = () => (condition() ? resolve() : requestAnimationFrame(look));
    look();
  });
}

const within = (ranges, time) =>
  Array.from({ length: ranges.length }, (_, i) => i).some((i) => ranges.start(i) <= time && time < ranges.end(i));

export class Tour {
  constructor(video, observer) {
    this.video = video;
    this.observer = observer;
    this.frames = []; // each frame that was shown: [seconds, number on it, height]
    this.seeks = [];
    this.switches = [];
    this.canvas = new OffscreenCanvas(BARS, 1).getContext("2d", { willReadFrequently: true });
    this.look();
  }

  /** The frame is taken as a VideoFrame, so that picture and time belong together. */
  look() {
    this.video.requestVideoFrameCallback(() => {
      const frame = new VideoFrame(this.video);
      this.frames.push([frame.timestamp / 1e6, this.number(frame), frame.displayHeight]);
      frame.close();
      this.look();
    });
  }

  number(frame) {
    const { displayWidth: width, displayHeight: height } = frame;
    this.canvas.drawImage(frame, 0, 0, width, height / 8, 0, 0, BARS, 1);
    const { data } = this.canvas.getImageData(0, 0, BARS, 1);
    return Array.from({ length: BARS }, (_, bit) => (data[4 * bit] > LIGHT ? 2 ** bit : 0)).reduce((a, b) => a + b);
  }

  /** Seek to and play until the given seconds; then show the levels, one after another. */
  async run({ seeks, levels, rest }, player) {
    await until(() => this.video.currentTime >= BEGIN_SECONDS);
    for (const [to, further] of seeks) await this.seek(to, further, player?.idle);
    for (const height of levels) await this.show(height, player.level);
    this.video.playbackRate = rest;
  }

  async seek(to, further, idle = () => true) {
    const { video } = this;
    if (this.seeks.length) await until(idle);
    const [origin, known] = [video.currentTime, this.frames.length];
    const buffered = within(video.buffered, to);
    this.observer.seek(to);
    const shown = () => this.frames.slice(known).find(([time]) => Math.abs(time - origin) > NEAR_SECONDS);
    await until(() => !video.seeking && shown() && video.currentTime >= further);
    this.seeks.push({ origin, to, buffered, shown: shown() });
  }

  async show(height, level) {
    const known = this.frames.length;
    const at = this.video.currentTime;
    level(height);
    const shown = () => this.frames.slice(known).find((frame) => frame[2] === height);
    await until(() => shown() && this.video.currentTime >= shown()[0] + STAY_SECONDS);
    this.switches.push({ height, at, shown: shown() });
  }

  report() {
    const { frames, seeks, switches } = this;
    return { frames, seeks, switches };
  }
}
