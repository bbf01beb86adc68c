// One function per player, all with default settings, because defaults are what viewers have.
// Each attaches the player to the element, loads the manifest to start `from` the given second (in the
// player's own way, since players undo a seek they did not ask for) and passes every error to the observer.
// `text` is the language of the subtitles to show, if any.
// A player that knows thumbnails or trick play returns functions for them.

/* global Hls, dashjs, shaka */

async function hls(video, url, from, observer, text) {
  const start = { startPosition: from || -1 }; // -1: where the player would start by itself
  const player = new Hls(text ? { ...start, subtitlePreference: { lang: text } } : start);
  player.on(Hls.Events.ERROR, (_event, data) => {
    const detail = [data.details, data.reason ?? data.error?.message, data.response?.code, data.frag?.relurl];
    observer.error(data.fatal, data.type, detail.filter(Boolean).join(" "));
  });
  player.loadSource(url);
  player.attachMedia(video);
}

async function dash(video, url, from, observer, text) {
  const player = dashjs.MediaPlayer().create();
  player.updateSettings({ debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE } });
  // dash.js says no severity; what it reports as an error it has already retried.
  player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => {
    observer.error(true, `code ${error?.code ?? "?"}`, String(error?.message ?? error));
  });
  player.initialize(video, url, false, from || NaN);
  // a switch to a track that is shown already can keep dash.js from ending the stream
  if (text) player.setInitialMediaSettingsFor("text", { lang: text });
  const thumbnail = (time) => new Promise((resolve) => { player.provideThumbnail(time, resolve); });
  return { thumbnail };
}

async function shakaPlayer(video, url, from, observer, text) {
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
  return { thumbnail, trick: (rate) => player.trickPlay(rate, true) };
}

/** Chromium's own HLS demuxer; its failures arrive as the element's error event. */
async function native(video, url, from) {
  video.addEventListener("loadedmetadata", () => { if (from) video.currentTime = from; }, { once: true });
  video.src = url;
}

export const adapters = { hls, dash, shaka: shakaPlayer, native };
