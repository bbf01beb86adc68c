#!/usr/bin/env node
// Plays one manifest to its end in headless Chromium with a real player and prints what happened as JSON.
//
//   node play.mjs --player hls|dash|shaka|vjs|native --url URL --chromium PATH --modules NODE_MODULES
//                 [--rate 1] [--from SECONDS] [--seconds-limit 120] [--sync] [--text LANGUAGE]
//                 [--thumbs SECONDS,...] [--trick RATE] [--tour JSON]
//
// Exit status: 0 played to the end with no fatal error and no failed request, 1 it did not, 2 wrong use.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SCRIPTS = {
  hls: "hls.js/dist/hls.min.js",
  dash: "dashjs/dist/modern/umd/dash.all.min.js",
  shaka: "shaka-player/dist/shaka-player.compiled.js",
  vjs: "video.js/dist/video.min.js",
  native: null,
};
const TYPES = { ".html": "text/html", ".js": "text/javascript" };
const POLL_MS = 200;
const FROZEN_SECONDS = 25; // no progress for this long: the player has given up without saying so
const FAILED_SECONDS = 5; // the same after a failed request: hls.js asks again and again, the result stands

const AHEAD_SECONDS = 3; // of the film: enough for twice the speed

const FLAGS = [
  "--no-sandbox", // the tests run as root
  "--disable-gpu",
  "--disable-quic",
  "--disable-dev-shm-usage", // /dev/shm is tiny in many CI machines
  "--no-first-run",
  "--disable-background-networking", // a test must not look for the outside world
  "--disable-component-update",
  "--disable-sync",
  "--no-proxy-server",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  "--autoplay-policy=no-user-gesture-required",
];

const sleep = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function readArguments() {
  const text = { type: "string" };
  const { values } = parseArgs({ options: {
    player: text, url: text, chromium: text, modules: text,
    rate: { type: "string", default: "1" }, from: { type: "string", default: "0" },
    "seconds-limit": { type: "string", default: "120" }, sync: { type: "boolean", default: false },
    text: { type: "string", default: "" },
    tour: { type: "string", default: "null" },
    thumbs: { type: "string", default: "" }, trick: { type: "string", default: "0" },
  } });
  for (const name of ["player", "url", "chromium", "modules"]) {
    if (!values[name]) throw new Error(`--${name} is missing`);
  }
  if (!(values.player in SCRIPTS)) throw new Error(`--player must be one of ${Object.keys(SCRIPTS).join(", ")}`);
  const thumbs = values.thumbs.split(",").filter(Boolean).map(Number);
  const [rate, from, limit, trick] = ["rate", "from", "seconds-limit", "trick"].map((name) => Number(values[name]));
  if (![rate, from, limit, trick, ...thumbs].every(Number.isFinite)) {
    throw new Error("--rate, --from, --seconds-limit, --thumbs, --trick take numbers");
  }
  return { ...values, rate, from, limit, trick, thumbs, tour: JSON.parse(values.tour) };
}

/** The file behind a request: the page's own, or a player's script; nothing else is served. */
function localFile(pathname, modules) {
  if (pathname === "/") return path.join(HERE, "page/index.html");
  const page = pathname.match(/^\/page\/([\w-]+\.js)$/);
  if (page) return path.join(HERE, "page", page[1]);
  const script = Object.values(SCRIPTS).find((name) => name && pathname === `/modules/${name}`);
  return script ? path.join(modules, script) : null;
}

/** Serve the page on a free port of the loopback interface: file: pages may not fetch. */
async function servePage(modules) {
  const server = createServer(async (request, response) => {
    const file = localFile(new URL(request.url, "http://localhost").pathname, modules);
    const found = file && await stat(file).catch(() => null);
    response.writeHead(found ? 200 : 404, { "Content-Type": TYPES[path.extname(file ?? "")] ?? "text/plain" });
    if (found) createReadStream(file).pipe(response);
    else response.end();
  });
  await new Promise((resolve) => { server.listen(0, "127.0.0.1", resolve); });
  return server;
}

/** With pipe: true Chromium ends by itself when this process is killed, whatever the signal. */
async function launch({ chromium, modules }) {
  const require = createRequire(path.join(modules, "unused.js"));
  const { default: puppeteer } = await import(pathToFileURL(require.resolve("puppeteer-core")));
  return puppeteer.launch({ executablePath: chromium, headless: true, pipe: true, args: FLAGS });
}

/** Requests that were refused or broke off; a player that drops a request itself has not failed. */
function watchRequests(page) {
  const failed = [];
  page.on("response", (response) => {
    if (response.status() >= 400) failed.push({ url: response.url(), reason: String(response.status()) });
  });
  page.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText ?? "unknown";
    if (reason !== "net::ERR_ABORTED") failed.push({ url: request.url(), reason });
  });
  return failed;
}

/** Poll until the end, a fatal error, no progress, or the limit; the last two become fatal errors. */
async function watch(page, limit, failedRequests) {
  const deadline = Date.now() + limit * 1000;
  let position = -1;
  let moved = Date.now();
  for (;;) {
    const report = await page.evaluate(() => window.raven.report());
    if (report.ended || report.errors.some((error) => error.fatal)) return report;
    if (report.currentTime !== position) [position, moved] = [report.currentTime, Date.now()];
    const patience = failedRequests.length ? FAILED_SECONDS : FROZEN_SECONDS;
    const failure = giveUp(deadline, limit, moved, patience);
    if (failure) return { ...report, errors: [...report.errors, { fatal: true, ...failure, at: position }] };
    await sleep(POLL_MS);
  }
}

function giveUp(deadline, limit, moved, patience) {
  if (Date.now() > deadline) return { kind: "limit", detail: `not ended after ${limit} s` };
  if (Date.now() - moved > patience * 1000) return { kind: "frozen", detail: `no progress for ${patience} s` };
  return null;
}

async function play(options) {
  const server = await servePage(options.modules);
  const browser = await launch(options);
  try {
    const page = await browser.newPage();
    const failedRequests = watchRequests(page);
    const origin = `http://127.0.0.1:${server.address().port}`;
    await page.goto(`${origin}/`, { waitUntil: "load" });
    await page.waitForFunction(() => window.raven);
    const script = SCRIPTS[options.player] && `${origin}/modules/${SCRIPTS[options.player]}`;
    const { player, url, rate, from, sync, text } = options;
    const ahead = options.tour?.levels.length ? AHEAD_SECONDS : 0;
    await page.evaluate((config) => window.raven.start(config), { player, url, script, rate, from, sync, text, ahead });
    if (options.tour) await page.evaluate((tour) => window.raven.travel(tour), options.tour);
    if (options.trick) await page.evaluate((by) => window.raven.trick(by), options.trick);
    const result = await watch(page, options.limit, failedRequests);
    const thumbnails = await page.evaluate((times) => window.raven.thumbnails(times), options.thumbs);
    return { player, ...result, thumbnails, failedRequests };
  } finally {
    await browser.close();
    server.close();
  }
}

const passed = (result) =>
  result.ended && !result.errors.some((error) => error.fatal) && result.failedRequests.length === 0;

async function main() {
  let options;
  try {
    options = readArguments();
  } catch (error) {
    console.error(`play.mjs: ${error.message}`);
    return 2;
  }
  const result = await play(options);
  console.log(JSON.stringify(result));
  return passed(result) ? 0 : 1;
}

process.exitCode = await main();
