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
public="$out/pack3" with_mr="$out/pack3 $out/mr3"
fit() { # fit STAGE PREVIOUS PACK...
  local stage=$1 previous=$2; shift 2
  train fit "$recipes/$stage.toml" --pack "$@" ${previous:+--initial "$out/$previous/weights.pt"} -o "$out/$stage"
}
fit base "" "$out/pack8"
fit coarse base $public
fit coarse-finish coarse $public
fit fine coarse $with_mr
fit fine-border fine $with_mr
fit fine-finish fine-border $with_mr
fit coarse-long coarse-finish $public
fit ct coarse-long $public
fit ct-long ct $public
fit wide fine-finish $with_mr
fit wide-more wide $with_mr
fit wide-long wide-more $with_mr
coarse="$out/ct-long/weights.pt" wide="$out/wide-long/weights.pt"
train export "$coarse" "$wide" --spacing 4.3 3.0 --id flaremr --title FlareMR -o "$out/flaremr"
train export "$out/ct/weights.pt" --spacing 3.6 --id flaremr-ct --title "FlareMR without MR" -o "$out/flaremr-ct"
