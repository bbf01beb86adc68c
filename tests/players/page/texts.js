// Which subtitles are active when, by the element's own text tracks, where all players put their cues.

export class TextWatch {
  constructor(video) {
    this.video = video;
    this.seen = new Map();
    const look = () => { this.look(); requestAnimationFrame(look); };
    look();
  }

  look() {
    for (const track of this.video.textTracks) {
      if (track.mode === "disabled") continue;
      for (const cue of track.activeCues ?? []) this.note(track, cue);
    }
  }

  note(track, cue) {
    const { startTime: start, endTime: end, text } = cue;
    const key = JSON.stringify([track.language, start, end, text]);
    const now = this.video.currentTime;
    const known = this.seen.get(key) ?? { language: track.language, start, end, text, first: now, last: now };
    this.seen.set(key, { ...known, last: now });
  }

  report() {
    return [...this.seen.values()];
  }
}
