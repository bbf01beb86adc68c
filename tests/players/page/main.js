// The page's one entry: play.mjs calls window.raven.start(...) and then polls window.raven.report().

import { watchAppends } from "./appends.js";
import { adapters } from "./adapters.js";
import { Observer } from "./observer.js";
import { SyncMeter } from "./sync.js";
import { TextWatch } from "./texts.js";
import { Tour } from "./tour.js";

const video = document.getElementById("video");
const appends = watchAppends(); // before any player script, so that no SourceBuffer escapes it
const observer = new Observer(video);
const texts = new TextWatch(video);
let meter = null;
let tour = null;
let handle = null;

/** Add the player's own script to the page, as a web site would. */
function loadScript(src) {
  return new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src, onload: resolve });
    script.onerror = () => reject(new Error(`cannot load ${src}`));
    document.head.append(script);
  });
}

/** Start when there is something to show; players differ in whether they start by themselves. */
function playWhenReady(rate) {
  video.addEventListener("loadedmetadata", () => {
    video.defaultPlaybackRate = video.playbackRate = rate;
    video.play().catch((error) => observer.error(true, "play", String(error)));
  }, { once: true });
}

async function start({ player, url, script, rate, sync, ...wishes }) {
  if (script) await loadScript(script);
  if (sync) meter = await SyncMeter.create(video);
  video.muted = !sync; // a muted element gives WebAudio silence
  playWhenReady(rate);
  try {
    handle = await adapters[player](video, url, observer, wishes);
  } catch (error) {
    observer.error(true, player, String(error?.message ?? error));
  }
}

/** Everything known so far, as plain values. */
function report() {
  const more = { buffers: appends.report(), sync: meter?.report() ?? null, texts: texts.report(), tour: tour?.report() ?? null };
  return { ...observer.report(), ...more };
}

/** Where the player finds the thumbnail of each of some seconds: null where there is none. */
async function thumbnails(times) {
  return handle?.thumbnail ? Promise.all(times.map(async (time) => (await handle.thumbnail(time)) ?? null)) : [];
}

/** Fast forward by the I-frames, in a player that can. */
function trick(rate) {
  handle.trick(rate);
}

/** Do what a viewer does, beside what is going on. */
function travel(wishes) {
  tour = new Tour(video, observer);
  const failed = (error) => observer.error(true, "tour", String(error?.message ?? error));
  tour.run(wishes, handle).catch(failed);
}

window.raven = { start, report, thumbnails, trick, travel };
