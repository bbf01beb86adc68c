// Prints, as JSON, the fragments of CMAF files as codem-isoboxer reads them: node boxes.mjs MODULES FILE...
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";

const [modules, ...files] = process.argv.slice(2);
const ISOBoxer = createRequire(modules + "/")("codem-isoboxer");

function fragments(file) {
  const data = readFileSync(file);
  const parsed = ISOBoxer.parseBuffer(data.buffer.slice(data.byteOffset, data.byteOffset + data.length));
  return parsed.fetchAll("moof").map((moof) => {
    const [mfhd] = moof.boxes.filter((box) => box.type === "mfhd");
    const [traf] = moof.boxes.filter((box) => box.type === "traf");
    const box = (type) => traf.boxes.find((found) => found.type === type);
    const trun = box("trun");
    const fallback = box("tfhd").default_sample_duration;
    const durations = trun.samples.map((sample) => sample.sample_duration ?? fallback);
    return {
      sequence: mfhd.sequence_number,
      decode_time: box("tfdt").baseMediaDecodeTime,
      samples: trun.sample_count,
      duration: durations.every((one) => one !== undefined) ? durations.reduce((a, b) => a + b, 0) : null,
    };
  });
}

console.log(JSON.stringify(files.map(fragments)));
