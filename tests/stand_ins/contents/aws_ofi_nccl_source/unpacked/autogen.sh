#!/bin/sh
# stand-in for autogen.sh of aws/aws-ofi-nccl: it makes configure, which needs a version as m4/get_version.sh of v1.21.1 does
set -eu
if [ ! -e .release_version ]; then
    echo "No version found." >&2
    exit 1
fi
cp configure.in configure
chmod +x configure
