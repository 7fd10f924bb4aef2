#!/usr/bin/env bash
# What each node runs for a step of ddp, called by srun from the job script: bash node.sh STEP
set -euo pipefail
trap : TERM INT # the processes save and stop; this script waits for them

export ADT_NODE_RANK="$SLURM_NODEID"
# A file of yours with lines like export NAME=value, for you alone to read (0600): the job removes it when it ends.
if [[ -e $ADT_RUN_DIR/secrets.sh ]]; then . "$ADT_RUN_DIR/secrets.sh"; fi
export ADT_PYTHON="$ADT_RUN_DIR/environment/bin/python"
export PATH="$(dirname "$(command -v "$ADT_PYTHON")"):$PATH"
export PYTHONPATH="$ADT_RUN_DIR/lib" PYTHONUNBUFFERED=1
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=600 # seconds that torchrun leaves its processes to save
# gloo would take the address that /etc/hosts gives this node's name, which may be a loopback
if ((ADT_NODES > 1)); then
  GLOO_SOCKET_IFNAME=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route)
  export GLOO_SOCKET_IFNAME
fi
cd "$ADT_RUN_DIR/case"

step_train() {
  "$ADT_PYTHON" -m torch.distributed.run \
    --nnodes="$ADT_NODES" --node-rank="$ADT_NODE_RANK" --nproc-per-node="$ADT_PROCS_PER_NODE" \
    --master-addr="$ADT_HEAD_ADDR" --master-port="$ADT_HEAD_PORT" \
    train.py --width=96 --layers=6 --sequence_length=128 --data=text: --steps=240 --global_batch=0 --learning_rate=0.006 --final_learning_rate=0.1 --warmup_steps=20 --weight_decay=0.01 --clip_norm=1.0 --seed=1 --bf16=true --checkpoint_every=100 --checkpoints_kept=2 --eval_every=0 --eval_rows=256 --log_every=10
}

"step_$1"
