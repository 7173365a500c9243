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
# Self-training of the coarse network: MR without their labels.
if [ ! -d "$out/pseudo-pack" ]; then
  for mm in 3.6 3.2; do
    train export "$out/ct-long/weights.pt" --spacing $mm --id "at-$mm" --title "at $mm mm" -o "$out/at-$mm"
  done
  PYTHONPATH=. "$python" Testing/benchmarks/pseudo_labels.py $recipes/unlabeled-mr.toml --data "$data" \
    --weights "$out/at-3.6" "$out/at-3.2" -o "$out/pseudo"
  train pack "$out/pseudo/groups.toml" --data "$out/pseudo" --spacing 3 -o "$out/pseudo-pack"
fi
fit self ct-long "$out/pack3" "$out/pseudo-pack"
# The wide network once more: MR with their labels, and pseudo-labels of the organs they lack.
if [ ! -d "$out/full-pack" ]; then
  train export "$out/self/weights.pt" "$out/wide-long/weights.pt" --spacing 3.6 3.0 --id first --title First -o "$out/first"
  train export "$out/self/weights.pt" --spacing 3.3 --id narrow --title Narrow -o "$out/narrow"
  PYTHONPATH=. "$python" Testing/benchmarks/pseudo_labels.py $recipes/public-mr.toml $recipes/unlabeled-haste.toml \
    --data "$data" --weights "$out/first" "$out/narrow" --keep-labels -o "$out/full"
  train pack "$out/full/groups.toml" --data "$out/full" --spacing 3 -o "$out/full-pack"
fi
fit wide-full wide-long "$out/pack3" "$out/full-pack"
fit wide-fine wide-full "$out/pack3" "$out/full-pack"
fit wide-absent wide-fine "$out/pack3" "$out/full-pack"
coarse="$out/self/weights.pt" wide="$out/wide-absent/weights.pt"
train export "$coarse" "$wide" --spacing 3.6 2.4 --id flaremr --title FlareMR -o "$out/flaremr"
train export "$out/ct-long/weights.pt" --spacing 3.3 --id flaremr-ct --title "FlareMR without MR" -o "$out/flaremr-ct"
