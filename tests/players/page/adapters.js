// One function per player, all with default settings, because defaults are what viewers have.
// Each attaches the player to the element, loads the manifest to start `from` the given second (in the
// player's own way, since players undo a seek they did not ask for) and passes every error to the observer.
// `text` is the language of the subtitles to show, if any. Where levels are to be chosen, a player that never replaces
// what it has fetched does not fetch further than `ahead` seconds, that they are seen in time.
// A player that knows thumbnails, trick play or levels returns functions for them: `level(height)` makes it show the
// rung of that height soon.

/* global Hls, dashjs, shaka, videojs */

const SAFE_SECONDS = 2; // of what is buffered stay while shaka-player changes its level: two segments, as it advises

async function hls(video, url, observer, { from, text }) {
  const start = { startPosition: from || -1 }; // -1: where the player would start by itself
  const player = new Hls(text ? { ...start, subtitlePreference: { lang: text } } : start);
  player.on(Hls.Events.ERROR, (_event, data) => {
    const detail = [data.details, data.reason ?? data.error?.message, data.response?.code, data.frag?.relurl];
    observer.error(data.fatal, data.type, detail.filter(Boolean).join(" "));
  });
  player.loadSource(url);
  player.attachMedia(video);
  const level = (height) => { player.nextLevel = player.levels.findIndex((rung) => rung.height === height); };
  return { level };
}

async function dash(video, url, observer, { from, text }) {
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({ debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE } });
  // dash.js says no severity; what it reports as an error it has already retried.
  player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => {
    observer.error(true, `code ${error?.code ?? "?"}`, String(error?.message ?? error));
  });
  player.on(dashjs.MediaPlayer.events.PLAYBACK_ENDED, () => observer.end());
  player.initialize(video, url, false, from || NaN);
  // a switch to a track that is shown already can keep dash.js from ending the stream
  if (text) player.setInitialMediaSettingsFor("text", { lang: text });
  const thumbnail = (time) => new Promise((resolve) => { player.provideThumbnail(time, resolve); });
  // a seek while it fetches can leave one of its tracks at the old place for good
  let fetched = 0;
  for (const name of ["STARTED", "COMPLETED"]) {
    player.on(dashjs.MediaPlayer.events[`FRAGMENT_LOADING_${name}`], () => { fetched = performance.now(); });
  }
  const level = (height) => {
    player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } } } });
    const rung = player.getRepresentationsByType("video").find((one) => one.height === height);
    player.setRepresentationForTypeById("video", rung.id, true);
  };
  return { thumbnail, level, idle: () => performance.now() - fetched > 700 };
}

async function shakaPlayer(video, url, observer, { from, text }) {
  shaka.polyfill.installAll();
  const player = new shaka.Player();
  await player.attach(video);
  const note = (error) => {
    const fatal = error.severity === shaka.util.Error.Severity.CRITICAL;
    observer.error(fatal, `code ${error.code}`, JSON.stringify(error.data ?? []).slice(0, 500));
  };
  player.addEventListener("error", (event) => note(event.detail));
  try {
    await player.load(url, from || null);
    if (text) player.selectTextTrack(player.getTextTracks().find((track) => track.language === text));
  } catch (error) {
    if (error.code === undefined) throw error;
    note(error);
  }
  const thumbnail = async (time) => {
    const found = await player.getThumbnails(null, time);
    return found && { url: found.uris[0], x: found.positionX, y: found.positionY, width: found.width, height: found.height };
  };
  const level = (height) => {
    player.configure({ abr: { enabled: false } });
    player.selectVariantTrack(player.getVariantTracks().find((track) => track.height === height), true, SAFE_SECONDS);
  };
  return { thumbnail, level, trick: (rate) => player.trickPlay(rate, true) };
}

/** video.js with its own engine (VHS) for both HLS and DASH. It has texts of its own, which the element does not see. */
async function vjs(video, url, observer, { from, text, ahead }) {
  if (text) throw new Error("texts of video.js are not watched");
  if (ahead) videojs.Vhs.MAX_GOAL_BUFFER_LENGTH = videojs.Vhs.GOAL_BUFFER_LENGTH = ahead;
  const player = videojs(video);
  player.on("error", () => observer.error(true, `code ${player.error()?.code}`, String(player.error()?.message)));
  if (from) player.one("loadedmetadata", () => player.currentTime(from));
  player.src({ src: url, type: url.endsWith(".mpd") ? "application/dash+xml" : "application/vnd.apple.mpegurl" });
  // its other way, representations().enabled(), races with its own choice of the next level
  const level = (height) => {
    const { vhs } = player.tech(true);
    vhs.selectPlaylist = () => vhs.playlists.main.playlists.find((one) => one.attributes.RESOLUTION.height === height);
  };
  return { level };
}

/** Chromium's own HLS demuxer; its failures arrive as the element's error event. */
async function native(video, url, _observer, { from }) {
  video.addEventListener("loadedmetadata", () => { if (from) video.currentTime = from; }, { once: true });
  video.src = url;
}

export const adapters = { hls, dash, shaka: shakaPlayer, vjs, native };
