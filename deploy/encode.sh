#!/bin/sh
# make encode: encodes a film, or a test picture where none is named, and says how to play it. encode.sh BIN SOURCE OUT
set -eu
bin=$1 source=$2 out=$3
if [ -z "$source" ]; then
  source=.cache/test-picture.mkv
  echo "no SOURCE=film.mkv given: encoding a test picture of 20 s with running time code and beeps"
  mkdir -p .cache
  [ -s "$source" ] || "$bin/raven" testpicture "$source"
fi
"$bin/raven" encode "$source" --output "$out"
cat <<EOF

To play it:  mpv $out/master.m3u8     (or vlc, ffplay)
In a browser that plays HLS (Safari, Chrome): python3 -m http.server -d $out, then http://localhost:8000/master.m3u8
EOF
