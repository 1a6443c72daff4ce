#!/usr/bin/env bash
# An array of runs, one a node, each with its own seed; a task that is preempted, times out or fails goes on where it stopped.
#     sbatch deploy/slurm.sh --recipe render --count 100000            what follows goes to jobs/generate.py
#     RUNS=/scratch/mine RETRIES=5 sbatch --array=0-63 deploy/slurm.sh --count 100000
# Each task's run has splits and shards of its own; for one run on many nodes let a Ray cluster span them (README.md).
#SBATCH --job-name=hazmat
#SBATCH --array=0-7
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@60
#SBATCH --output=hazmat-%A_%a.log
set -uo pipefail

runs=${RUNS:-$PWD/runs} retries=${RETRIES:-3}
task=${SLURM_ARRAY_TASK_ID:-0} job=${SLURM_JOB_ID:-} tried=${SLURM_RESTART_COUNT:-0}
cd "${HAZMAT:-${SLURM_SUBMIT_DIR:-$PWD}}" || exit 2
[ -x .venv/bin/python ] && export PATH=$PWD/.venv/bin:$PATH
export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=${HF_HUB_OFFLINE:-1}
unset RAY_ADDRESS  # each task has a node of its own, and Ray on it

python jobs/generate.py --out "$runs/$(printf %03d "$task")" --seed "$task" "$@" &
command=$!
trap 'kill -TERM "$command" 2>/dev/null' TERM INT  # it commits what it can in five seconds and says where it stands
while wait "$command"; kill -0 "$command" 2>/dev/null; do :; done  # a wait also ends with a signal, while the command goes on
wait "$command"
status=$?

case "$status" in
  0 | 3) exit 0 ;;  # done; 3: with samples in quarantine, which its log counts
  2) exit 2 ;;      # bad use or bad input: the same again would say the same
esac
if [ -n "$job" ] && [ "$tried" -lt "$retries" ]; then
  echo "status $status: queued again, attempt $((tried + 1)) of $retries" >&2
  scontrol requeue "$job"
fi
exit "$status"
