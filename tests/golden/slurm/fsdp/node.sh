#!/usr/bin/env bash
# What each node runs for a step of fsdp, called by srun from the job script: bash node.sh STEP
set -euo pipefail
trap : TERM INT # the processes save and stop; this script waits for them

export ADT_NODE_RANK="$SLURM_NODEID"
# A file of yours with lines like export NAME=value, for you alone to read (0600): the job removes it when it ends.
if [[ -e $ADT_RUN_DIR/secrets.sh ]]; then . "$ADT_RUN_DIR/secrets.sh"; fi
export ADT_PYTHON="$ADT_RUN_DIR/environment/bin/python"
export PATH="$(dirname "$(command -v "$ADT_PYTHON")"):$PATH"
export PYTHONPATH="$ADT_RUN_DIR/lib" PYTHONUNBUFFERED=1
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT=600 # seconds that torchrun leaves its processes to save
cd "$ADT_RUN_DIR/case"

step_train() {
  "$ADT_PYTHON" -m torch.distributed.run \
    --nnodes="$ADT_NODES" --node-rank="$ADT_NODE_RANK" --nproc-per-node="$ADT_PROCS_PER_NODE" \
    --master-addr="$ADT_HEAD_ADDR" --master-port="$ADT_HEAD_PORT" \
    train.py --model=tiny --sequence_length=256 --data=text: --tokenizer=bytes --steps=300 --global_batch=0 --micro_batch=0 --learning_rate=0.004 --final_learning_rate=0.1 --warmup_steps=20 --weight_decay=0.1 --beta2=0.95 --clip_norm=1.0 --balance_loss=0.02 --seed=1 --sharding=full --shard_size=0 --reshard=auto --prefetch=0 --recompute=off --compile=false --masters=false --float8=false --untied=false --offload=false --bf16=true --checkpoint_every=100 --checkpoints_kept=2 --checkpoint_in_background=true --eval_every=0 --eval_rows=64 --log_every=10
}

"step_$1"
