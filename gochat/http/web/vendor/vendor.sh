#!/bin/sh
# Makes the modules of this folder from npm's packages, and vendor.sha256. Nothing is built: bare names become relative,
# `process.env.NODE_ENV`, which no browser knows, becomes false, and references to source maps go, as do lines that are
# comments: upstream has more of them than code in places.
#
#   npm install --no-save preact@11.2.0 htm@3.1.1 @preact/signals@2.11.4 @preact/signals-core@1.14.5 \
#       @tanstack/virtual-core@3.19.11
#   sh vendor.sh node_modules
set -eu
from=$1
cd "$(dirname "$0")"
cp "$from/preact/dist/preact.mjs" "$from/preact/hooks/dist/hooks.mjs" "$from/htm/dist/htm.mjs" .
cp "$from/@preact/signals-core/dist/signals-core.mjs" "$from/@preact/signals/dist/signals.mjs" .
for name in index lazy-measurements utils scroll-classifier ios-gesture; do
    cp "$from/@tanstack/virtual-core/dist/esm/$name.js" "virtual-$name.mjs"
done
sed -i -E 's/process\.env\.NODE_ENV !== .production./false/g' virtual-*.mjs
sed -i -E '/^ *\/\//d' virtual-*.mjs
sed -i -E 's#(from|import) ?"preact/hooks"#\1"./hooks.mjs"#g; s#(from|import) ?"preact"#\1"./preact.mjs"#g' ./*.mjs
sed -i -E 's#(from|import) ?"@preact/signals-core"#\1"./signals-core.mjs"#g' ./*.mjs
sed -i -E 's#from "\./([a-z-]+)\.js"#from "./virtual-\1.mjs"#g; /^\/\/# sourceMappingURL/d' ./*.mjs
sha256sum $(ls ./*.mjs) > vendor.sha256
