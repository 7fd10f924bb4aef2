#!/usr/bin/env bash
# Submits the jobs of this folder, each to start when the one before it ended well: bash submit.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

job=$(sbatch --parsable job.sbatch)
echo "job ${job%%;*}: job.sbatch"
