// What the player told Media Source Extensions: per SourceBuffer its offset, its window and the first
// time stamp of the media itself. From these the start on the shared timeline follows by arithmetic,
// with no clock and so no noise; the measured side is in sync.js.

const MAX_NOTES = 50; // enough to see every change, small enough to print

const view = (data) =>
  ArrayBuffer.isView(data) ? new DataView(data.buffer, data.byteOffset, data.byteLength) : new DataView(data);

/** Yield [type, start of body, end] of each box in a range. */
function* boxes(data, from, to) {
  for (let at = from; at + 8 <= to;) {
    const size = data.getUint32(at);
    if (size < 8) return; // 64-bit sizes do not occur in segments of some seconds
    const type = String.fromCharCode(...[4, 5, 6, 7].map((i) => data.getUint8(at + i)));
    yield [type, at + 8, Math.min(at + size, to)];
    at += size;
  }
}

/** The first box on a path such as moof/traf/tfdt, as [body, end], or null. */
function find(data, path, from = 0, to = data.byteLength) {
  const [head, ...rest] = path;
  for (const [type, body, end] of boxes(data, from, to)) {
    if (type !== head) continue;
    return rest.length ? find(data, rest, body, end) : [body, end];
  }
  return null;
}

function timescale(data) {
  const box = find(data, ["moov", "trak", "mdia", "mdhd"]);
  return box && data.getUint32(box[0] + (data.getUint8(box[0]) ? 20 : 12));
}

/** Decode time (tfdt) of the first fragment, in units of the time scale. */
function decodeTime(data) {
  const box = find(data, ["moof", "traf", "tfdt"]);
  if (!box) return null;
  return data.getUint8(box[0]) ? Number(data.getBigUint64(box[0] + 4)) : data.getUint32(box[0] + 4);
}

function note(record, buffer, bytes) {
  const data = view(bytes);
  record.timescale = timescale(data) ?? record.timescale;
  const ticks = decodeTime(data);
  if (ticks === null || record.appends.length >= MAX_NOTES) return;
  record.appends.push({
    decodeTime: record.timescale ? ticks / record.timescale : null,
    timestampOffset: buffer.timestampOffset,
    appendWindowStart: buffer.appendWindowStart,
  });
}

/** Hook MediaSource before the players load. Chromium's native HLS uses none: its report is empty. */
export function watchAppends() {
  const records = [];
  const byBuffer = new WeakMap();
  const { addSourceBuffer } = MediaSource.prototype;
  MediaSource.prototype.addSourceBuffer = function add(type) {
    const buffer = addSourceBuffer.call(this, type);
    const record = { type, timescale: null, appends: [] };
    byBuffer.set(buffer, record);
    records.push(record);
    return buffer;
  };
  const { appendBuffer } = SourceBuffer.prototype;
  SourceBuffer.prototype.appendBuffer = function append(bytes) {
    const record = byBuffer.get(this);
    if (record) note(record, this, bytes);
    return appendBuffer.call(this, bytes);
  };
  return { report: () => records };
}
