#!/bin/bash
set -euo pipefail

usage() {
    cat <<'END'
Usage: slurm/pipeline.sh [--dry-run] [--partial]

Submit all stages, each job waiting until the one before has succeeded:
preprocess (an array) -> mean -> pca -> pack -> train -> eval. Prints the job ids.
If one fails, the last line of its log says so, and those after it are cancelled;
submitted again, each resumes.

  --dry-run   print the commands, submit nothing; RAW need not exist
  --partial   accept fewer images than the edition has

Environment variables; paths are relative to the current folder:
  RAW          folder of the ILSVRC tars and the devkit        default raw
  DATA         folder of the prepared data                     default data
  SIDE         side of the prepared images, in pixels          default 256
  PARTS        preprocess jobs at the same time                default 8
  RECIPE       name or .toml file                              default alexnet-2012
  RUN          folder of the run                               default runs/RECIPE
  GPUS         GPUs to train on, one process each; or 0        default 1
  NODES        nodes of the training                           default as Slurm decides
  CPUS         processors per process                          default as in each script
  ALEXREP_ENV  a venv or a file to source                      default .venv, if any
  SBATCH_PARTITION, SBATCH_ACCOUNT, ...                        read by sbatch itself

Example: RAW=/data/raw DATA=/data/ilsvrc2012 RUN=runs/1 GPUS=4 slurm/pipeline.sh
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
PARTS=${PARTS:-8} GPUS=${GPUS:-1} NODES=${NODES:-} CPUS=${CPUS:-}
export RAW DATA RECIPE RUN GPUS
for name in PARTS NODES CPUS; do
    [[ -z ${!name} || ${!name} =~ ^[1-9][0-9]{0,3}$ ]] ||
        stop "$name: expected a number from 1 to 9999, found ${!name}; set $name"
done
[[ $GPUS =~ ^[0-9]{1,4}$ ]] || stop "GPUS: expected a number or 0, found $GPUS; set GPUS"
if [[ ! -d $RAW ]]; then
    [[ $dry ]] || stop "$RAW: expected the folder of the tars, found none; set RAW"
    echo "pipeline.sh: $RAW: no such folder yet, which is needed to submit; set RAW" >&2
fi
[[ $dry ]] || command -v sbatch >/dev/null ||
    stop "sbatch: expected on PATH, found nothing; run this on a Slurm login node, or --dry-run"

folder=$(cd "$(dirname "$0")" && pwd)
before=''

# Submit job $1 with sbatch options $2 (words) after the one before; the other arguments go to its
# script.
submit() {
    local name=$1 options command=(sbatch --parsable)
    read -ra options <<<"$2"
    [[ $before ]] && command+=(--dependency="afterok:$before" --kill-on-invalid-dep=yes)
    [[ $CPUS ]] && command+=(--cpus-per-task="$CPUS")
    command+=("${options[@]}" "$folder/$name.slurm" "${@:3}")
    if [[ $dry ]]; then
        echo "${command[*]}"
        before="<$name>"
    else
        before=$("${command[@]}")
        before=${before%%;*} # a federation adds ;cluster
        echo "$name $before"
    fi
}

# Without GPUs there is one process, and no GPU is requested.
gpus='' tasks=''
((GPUS == 0)) && gpus=--gpus-per-task=0
((GPUS > 1)) && tasks=--ntasks=$GPUS

submit preprocess "--array=0-$((PARTS - 1))" "${partial[@]}"
submit mean ''
submit pca ''
submit pack ''
submit train "$gpus $tasks ${NODES:+--nodes=$NODES}"
submit eval "$gpus"
