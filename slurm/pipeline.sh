#!/bin/bash
set -euo pipefail

usage() {
    cat <<'END'
Usage: slurm/pipeline.sh [--dry-run] [--partial]

Submit the whole way, each job waiting until the one before has ended well:
preprocess -> pack (mean, pca, pack) -> train -> eval. Prints the job ids.

  --dry-run   print the commands, submit nothing
  --partial   accept fewer images than the edition has

Set in the environment, paths relative to where you are:
  RAW          folder of the ILSVRC tars and the devkit        default raw
  DATA         folder of the prepared data                     default data
  RECIPE       name or .toml file                              default alexnet-2012
  RUN          folder of the run                               default runs/RECIPE
  ALEXREP_ENV  a venv or a file to source                      default .venv, if there
  SBATCH_PARTITION, SBATCH_ACCOUNT, ...                        read by sbatch itself

Example: RAW=/data/raw DATA=/data/ilsvrc2012 RUN=runs/1 slurm/pipeline.sh
END
}

stop() {
    echo "pipeline.sh: $1" >&2
    exit 2
}

dry='' partial=()
for option in "$@"; do
    case $option in
        -h | --help) usage && exit ;;
        --dry-run) dry=yes ;;
        --partial) partial=(--partial) ;;
        *) stop "$option: expected --dry-run, --partial or nothing, found it; see --help" ;;
    esac
done

RAW=${RAW:-raw} DATA=${DATA:-data} RECIPE=${RECIPE:-alexnet-2012}
RUN=${RUN:-runs/$(basename "$RECIPE" .toml)}
export RAW DATA RECIPE RUN
[[ -d $RAW ]] || stop "$RAW: expected the folder of the tars, found none; set RAW"
[[ $dry ]] || command -v sbatch >/dev/null ||
    stop "sbatch: expected on PATH, found nothing; run this on a Slurm login node, or --dry-run"

folder=$(cd "$(dirname "$0")" && pwd)
before=''

# Submit job $1, after the one before; the rest goes to its script.
submit() {
    local name=$1 command=(sbatch --parsable)
    [[ $before ]] && command+=(--dependency="afterok:$before" --kill-on-invalid-dep=yes)
    command+=("$folder/$name.slurm" "${@:2}")
    if [[ $dry ]]; then
        echo "${command[*]}"
        before="<$name>"
    else
        before=$("${command[@]}")
        before=${before%%;*} # a federation adds ;cluster
        echo "$name $before"
    fi
}

submit preprocess "${partial[@]}"
submit pack
submit train
submit eval
