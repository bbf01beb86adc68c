// Watches the media element only, so that every player is judged by the same eyes.

const ranges = (buffered) =>
  Array.from({ length: buffered.length }, (_, i) => [buffered.start(i), buffered.end(i)]);

const PLAYING_SECONDS = 0.1; // this far behind a seek it plays there
// On a machine too slow to play at speed, dash.js goes to the end by the wall clock, says that it has ended, and then
// seeks back a little. So much before the end may be cut.
const END_SECONDS = 0.5;

export class Observer {
  constructor(video) {
    this.video = video;
    this.errors = [];
    this.stalls = []; // the element ran dry after it had started
    this.jumps = []; // the player moved the position itself: a gap skipped, or a nudge
    this.maxRanges = 0;
    this.started = false;
    this.sought = null; // where the viewer has gone, until it plays there
    this.position = 0; // last one seen, to tell where a jump began
    this.endedAt = null; // where, the first time that the element or the player said so
    this.listen();
  }

  error(fatal, kind, detail) {
    this.errors.push({ fatal: Boolean(fatal), kind, detail, at: this.video.currentTime });
  }

  end() {
    this.endedAt ??= this.video.currentTime;
  }

  /** A seek of the viewer's: no jump of the player's, and what it waits for then is no stall. */
  seek(to) {
    this.sought = to;
    this.video.currentTime = to;
  }

  listen() {
    const on = (name, action) => this.video.addEventListener(name, action);
    on("playing", () => { this.started = true; });
    on("waiting", () => { if (this.started && this.sought === null) this.stalls.push(this.video.currentTime); });
    on("seeking", () => this.noteJump());
    on("ended", () => this.end());
    on("timeupdate", () => this.noteProgress());
    for (const name of ["timeupdate", "progress", "ended"]) on(name, () => this.countRanges());
    on("error", () => {
      const { code, message } = this.video.error;
      this.error(true, `MediaError ${code}`, message);
    });
  }

  noteProgress() {
    const { currentTime, seeking } = this.video;
    if (seeking) return;
    this.position = currentTime;
    if (this.sought !== null && currentTime > this.sought + PLAYING_SECONDS) this.sought = null;
  }

  noteJump() {
    const { currentTime } = this.video;
    const atEnd = this.position > this.video.duration - END_SECONDS;
    if (this.started && currentTime !== this.sought && !atEnd) this.jumps.push([this.position, currentTime]);
  }

  countRanges() {
    this.maxRanges = Math.max(this.maxRanges, this.video.buffered.length);
  }

  report() {
    const { video } = this;
    const quality = video.getVideoPlaybackQuality();
    return {
      ended: this.endedAt !== null,
      duration: Number.isFinite(video.duration) ? video.duration : null, // JSON has no Infinity
      currentTime: this.endedAt ?? video.currentTime,
      errors: this.errors,
      bufferedRanges: ranges(video.buffered),
      maxBufferedRanges: this.maxRanges,
      stalls: this.stalls,
      jumps: this.jumps,
      videoWidth: video.videoWidth,
      videoHeight: video.videoHeight,
      decodedFrames: quality.totalVideoFrames,
      droppedFrames: quality.droppedVideoFrames,
      audioDecodedBytes: video.webkitAudioDecodedByteCount ?? 0,
    };
  }
}
