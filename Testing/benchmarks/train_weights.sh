#!/usr/bin/env bash
# Trains the bundled weights: train_weights.sh DATA OUT [PYTHON]. Run it again to continue.
# DATA holds the folders named in FlareMRCore/resources/training/public-*.toml.
set -euo pipefail
data=$1 out=$2 python=${3:-.venv/bin/python}
recipes=FlareMRCore/resources/training
train() { "$python" -m FlareMRCore train "$@"; }
[ -d "$out/pack8" ] || train pack $recipes/public-data.toml --data "$data" --spacing 8 -o "$out/pack8"
[ -d "$out/pack3" ] || train pack $recipes/public-data.toml --data "$data" --spacing 3 -o "$out/pack3"
[ -d "$out/mr3" ] || train pack $recipes/public-mr.toml --data "$data" --spacing 3 -o "$out/mr3"
train fit $recipes/base.toml --pack "$out/pack8" -o "$out/base"
train fit $recipes/coarse.toml --pack "$out/pack3" --initial "$out/base/weights.pt" -o "$out/coarse"
train fit $recipes/fine.toml --pack "$out/pack3" "$out/mr3" --initial "$out/coarse/weights.pt" -o "$out/fine"
train export "$out/coarse/weights.pt" --id flaremr-ct --title "FlareMR, no MR labels" -o "$out/flaremr-ct"
train export "$out/coarse/weights.pt" "$out/fine/weights.pt" --id flaremr --title FlareMR -o "$out/flaremr"
