#!/usr/bin/env bash
# What the roles of a ParallelCluster GPU node do, as a plain script for Ubuntu and Debian: the same packages from the same
# repositories with the same key, files held to the same digests, the same settings, the same services. benchmarks/roles.py
# writes the names in capitals before it; it prints the milliseconds of each role. No check of the node, no manifest.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
install="apt-get install --yes --quiet --no-install-recommends --allow-downgrades --allow-change-held-packages"

# repository NAME SOURCE: a source with the pinned key
repository() {
    local list=/etc/apt/sources.list.d/$1.list
    if [ ! -e /etc/apt/keyrings/roles.asc ]; then
        mkdir --parents /etc/apt/keyrings
        cp "$KEY_FILE" /etc/apt/keyrings/roles.asc
        echo "$KEY_SHA256  /etc/apt/keyrings/roles.asc" | sha256sum --check --quiet
    fi
    if [ ! -e "$list" ]; then
        echo "deb [signed-by=/etc/apt/keyrings/roles.asc] $2" >"$list"
        apt-get update --quiet -o Dir::Etc::sourcelist="$list" -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0
    fi
}

# hold NAME PACKAGE=VERSION...: keep packages at their versions
hold() {
    local file=/etc/apt/preferences.d/$1.pref one
    shift
    for one; do printf 'Package: %s\nPin: version %s\nPin-Priority: 1000\n\n' "${one%%=*}" "${one#*=}"; done >"$file"
}

# fetch FILE SHA256: bring a file to /usr/local/src and hold it to its digest
fetch() {
    cp "$1" /usr/local/src/
    echo "$2  /usr/local/src/${1##*/}" | sha256sum --check --quiet
}

role_base() {
    if [ ! -e "/lib/modules/$(uname -r)/build" ]; then
        apt-get update --quiet
        $install "linux-headers-$(uname -r)"
    fi
    printf 'Package: linux-aws linux-generic* linux-headers-aws linux-headers-generic* linux-image-aws linux-image-generic*\nPin: version *\nPin-Priority: -1\n' \
        >/etc/apt/preferences.d/kernel.pref
    echo "net.core.somaxconn = 5000" >/etc/sysctl.d/90-base.conf
    sysctl --quiet --load=/etc/sysctl.d/90-base.conf
    printf '* - memlock unlimited\nroot - memlock unlimited\n* - nofile 1048576\nroot - nofile 1048576\n' >/etc/security/limits.d/90-base.conf
    mkdir --parents /etc/systemd/system.conf.d
    printf '[Manager]\nDefaultLimitMEMLOCK=infinity\nDefaultLimitNOFILE=1048576\n' >/etc/systemd/system.conf.d/90-base.conf
    systemctl daemon-reexec
}

role_nvidia_driver() {
    repository nvidia "$NVIDIA_DRIVER_SOURCE"
    hold nvidia_driver $NVIDIA_DRIVER_PACKAGES $NVIDIA_PERSISTENCED_PACKAGES
    # the package that pins the others first
    $install ${NVIDIA_DRIVER_PACKAGES%% *}
    $install $NVIDIA_DRIVER_PACKAGES $NVIDIA_PERSISTENCED_PACKAGES
    printf 'blacklist nouveau\noptions nouveau modeset=0\n' >/etc/modprobe.d/nvidia.conf
    systemctl enable --quiet --now nvidia-persistenced
}

role_nvidia_fabricmanager() {
    hold nvidia_fabricmanager $NVIDIA_FABRICMANAGER_PACKAGES
    $install $NVIDIA_FABRICMANAGER_PACKAGES
    systemctl enable --quiet --now nvidia-fabricmanager
}

role_cuda() {
    hold cuda $CUDA_PACKAGES
    $install $CUDA_PACKAGES
    ln --symbolic --force --no-dereference "$CUDA_HOME" /usr/local/cuda
    echo 'export PATH="/usr/local/cuda/bin:$PATH"' >/etc/profile.d/cuda.sh
    echo /usr/local/cuda/lib64 >/etc/ld.so.conf.d/cuda.conf
    ldconfig
}

role_gdrcopy() {
    local folder=/usr/local/src/gdrcopy-build source="/usr/src/gdrdrv-$GDRCOPY_VERSION"
    if [ ! -e "/opt/gdrcopy/$GDRCOPY_VERSION/bin/gdrcopy_sanity" ]; then
        $install g++ make
        fetch "$GDRCOPY_FILE" "$GDRCOPY_SHA256"
        rm --recursive --force "$folder"
        mkdir "$folder"
        tar --extract --gzip --file="/usr/local/src/${GDRCOPY_FILE##*/}" --directory="$folder" --strip-components=1
        (cd "$folder" && make --jobs="$(nproc)" prefix="/opt/gdrcopy/$GDRCOPY_VERSION" CUDA=/usr/local/cuda install)
        mkdir --parents "$source"
        cp --recursive "$folder"/src/gdrdrv/. "$folder"/scripts "$folder"/packages/dkms.conf "$source"
        sed --in-place "s/@FULL_VERSION@/$GDRCOPY_VERSION/; s/@VERSION@/$GDRCOPY_VERSION/; s,@MODULE_LOCATION@,/kernel/drivers/misc/," "$source/dkms.conf"
        rm --recursive "$folder"
        dkms add -m gdrdrv -v "$GDRCOPY_VERSION"
        for step in build install; do
            NVIDIA_SRC_DIR=$(find /usr/src -path '*nvidia-*' -name nv-p2p.c -exec dirname {} + | head -n 1) \
                dkms "$step" --force -m gdrdrv -v "$GDRCOPY_VERSION" -k "$(uname -r)"
        done
    fi
    echo "/opt/gdrcopy/$GDRCOPY_VERSION/lib" >/etc/ld.so.conf.d/000_gdrcopy.conf
    ldconfig
    printf '%s\n' '[Unit]' 'After=nvidia-persistenced.service' '[Service]' 'Type=oneshot' 'RemainAfterExit=yes' 'ExecStart=modprobe gdrdrv' \
        "ExecStart=sh -c 'rm -f /dev/gdrdrv && mknod -m 666 /dev/gdrdrv c \$\$(sed -n \"s/ gdrdrv\$\$//p\" /proc/devices) 0'" \
        '[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/gdrcopy.service
    systemctl daemon-reload
    systemctl enable --quiet --now gdrcopy
}

role_nccl() {
    if [ ! -e "/opt/nccl/$NCCL_VERSION/include/nccl.h" ]; then
        $install g++ make
        fetch "$NCCL_FILE" "$NCCL_SHA256"
        local folder=/usr/local/src/nccl-build
        rm --recursive --force "$folder"
        mkdir "$folder"
        tar --extract --gzip --file="/usr/local/src/${NCCL_FILE##*/}" --directory="$folder" --strip-components=1
        for target in src.build src.install; do
            (cd "$folder" && make --jobs="$(nproc)" "$target" CUDA_HOME=/usr/local/cuda PREFIX="/opt/nccl/$NCCL_VERSION" NVCC_GENCODE="$NCCL_GENCODE")
        done
        rm --recursive "$folder"
    fi
    echo "/opt/nccl/$NCCL_VERSION/lib" >/etc/ld.so.conf.d/000_nccl.conf
    ldconfig
}

role_efa() {
    if ! grep --quiet --no-messages "version: $EFA_VERSION\$" /opt/amazon/efa_installed_packages; then
        fetch "$EFA_FILE" "$EFA_SHA256"
        tar --extract --gzip --file="/usr/local/src/${EFA_FILE##*/}" --directory=/usr/local/src
        (cd /usr/local/src/aws-efa-installer && ./efa_installer.sh -y --skip-limit-conf --disable-ngc)
        rm --recursive /usr/local/src/aws-efa-installer
    fi
    printf '* - memlock unlimited\nroot - memlock unlimited\n' >/etc/security/limits.d/90-efa.conf
    printf '[Manager]\nDefaultLimitMEMLOCK=infinity\n' >/etc/systemd/system.conf.d/90-efa.conf
    systemctl daemon-reexec
    local version
    version=$(dkms status efa-nv-peermem | sed -n 's,^efa-nv-peermem/\([^,: ]*\).*,\1,p')
    dkms build --force -m efa-nv-peermem -v "$version" -k "$(uname -r)"
    dkms install --force -m efa-nv-peermem -v "$version" -k "$(uname -r)"
    echo efa_nv_peermem >/etc/modules-load.d/efa-nv-peermem.conf
}

role_nccl_tests() {
    if [ ! -e /opt/nccl-tests/bin/all_reduce_perf ]; then
        fetch "$NCCL_TESTS_FILE" "$NCCL_TESTS_SHA256"
        local folder=/usr/local/src/nccl-tests-build
        rm --recursive --force "$folder"
        mkdir "$folder"
        tar --extract --gzip --file="/usr/local/src/${NCCL_TESTS_FILE##*/}" --directory="$folder" --strip-components=1
        (cd "$folder" && make --jobs="$(nproc)" MPI=0 CUDA_HOME=/usr/local/cuda NCCL_HOME="/opt/nccl/$NCCL_VERSION" NVCC_GENCODE="$NCCL_GENCODE")
        mkdir --parents /opt/nccl-tests/bin
        install --mode=0755 "$folder"/build/*_perf /opt/nccl-tests/bin
        rm --recursive "$folder"
    fi
}

role_docker() {
    repository docker "$DOCKER_SOURCE"
    hold docker $DOCKER_PACKAGES $CONTAINERD_PACKAGES
    $install $DOCKER_PACKAGES $CONTAINERD_PACKAGES
    systemctl enable --quiet --now containerd docker
}

role_nvidia_container_toolkit() {
    repository toolkit "$NVIDIA_CONTAINER_TOOLKIT_SOURCE"
    hold nvidia_container_toolkit $NVIDIA_CONTAINER_TOOLKIT_PACKAGES
    $install $NVIDIA_CONTAINER_TOOLKIT_PACKAGES
    mkdir --parents /etc/udev/rules.d
    echo 'ACTION=="add", DEVPATH=="/bus/pci/drivers/nvidia", RUN+="/usr/bin/nvidia-ctk system create-dev-char-symlinks --create-all"' \
        >/etc/udev/rules.d/71-nvidia-dev-char.rules
    systemctl enable --quiet nvidia-cdi-refresh.service
    systemctl enable --quiet --now nvidia-cdi-refresh.path
    mkdir --parents /etc/docker
    echo '{"features": {"cdi": true}}' >/etc/docker/daemon.json
    nvidia-ctk runtime configure --runtime=docker
    systemctl restart docker
}

role_enroot() {
    $install bsdmainutils curl gawk jq libcap2-bin parallel squashfs-tools zstd
    fetch "$ENROOT_FILE" "$ENROOT_SHA256"
    fetch "$ENROOT_CAPS_FILE" "$ENROOT_CAPS_SHA256"
    $install "/usr/local/src/${ENROOT_FILE##*/}" "/usr/local/src/${ENROOT_CAPS_FILE##*/}"
    mkdir --parents /etc/enroot/enroot.conf.d
    printf '%s\n' 'ENROOT_RUNTIME_PATH /run/enroot/user-$(id -u)' 'ENROOT_CACHE_PATH /var/lib/enroot/cache/user-$(id -u)' \
        'ENROOT_DATA_PATH /var/lib/enroot/data/user-$(id -u)' 'ENROOT_TEMP_PATH /var/lib/enroot/tmp' >/etc/enroot/enroot.conf.d/roles.conf
    printf '%s\n' 'd /run/enroot 1777 root root -' 'd /var/lib/enroot 0755 root root -' 'd /var/lib/enroot/cache 1777 root root -' \
        'd /var/lib/enroot/data 1777 root root -' 'd /var/lib/enroot/tmp 1777 root root -' >/etc/tmpfiles.d/enroot.conf
    systemd-tmpfiles --create /etc/tmpfiles.d/enroot.conf
    echo '-kernel.unprivileged_userns_clone = 1' >/etc/sysctl.d/90-enroot.conf
    sysctl --quiet --ignore --load=/etc/sysctl.d/90-enroot.conf
}

role_pyxis() {
    if [ ! -e /usr/local/lib/slurm/spank_pyxis.so ]; then
        fetch "$PYXIS_FILE" "$PYXIS_SHA256"
        local folder=/usr/local/src/pyxis-build
        rm --recursive --force "$folder"
        mkdir "$folder"
        tar --extract --gzip --file="/usr/local/src/${PYXIS_FILE##*/}" --directory="$folder" --strip-components=1
        (cd "$folder" && CPPFLAGS=-I/usr/include make install)
        rm --recursive "$folder"
    fi
    mkdir --parents /etc/slurm/plugstack.conf.d
    echo 'required /usr/local/lib/slurm/spank_pyxis.so' >/etc/slurm/plugstack.conf.d/pyxis.conf
    echo 'include /etc/slurm/plugstack.conf.d/*' >/etc/slurm/plugstack.conf
    echo 'd /run/pyxis 0755 root root -' >/etc/tmpfiles.d/pyxis.conf
    systemd-tmpfiles --create /etc/tmpfiles.d/pyxis.conf
}

role_dcgm() {
    hold dcgm $DCGM_PACKAGES
    $install $DCGM_PACKAGES
    systemctl enable --quiet --now nvidia-dcgm
}

role_dcgm_exporter() {
    if [ -z "$(docker image ls --quiet --no-trunc "$DCGM_EXPORTER_IMAGE")" ]; then
        docker pull --quiet "$DCGM_EXPORTER_IMAGE"
    fi
    unit dcgm_exporter "/usr/bin/docker run --rm --pull never --name dcgm_exporter --network host --cap-drop ALL --cap-add SYS_ADMIN $DCGM_EXPORTER_IMAGE --address :9400 --remote-hostengine-info 127.0.0.1:5555 --collectors /etc/dcgm-exporter/dcp-metrics-included.csv"
}

# unit NAME COMMAND: a service of this command
unit() {
    printf '[Unit]\nAfter=network-online.target\n\n[Service]\nExecStart=%s\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n' "$2" \
        >"/etc/systemd/system/$1.service"
    systemctl daemon-reload
    systemctl enable --quiet --now "$1"
}

role_node_exporter() {
    if ! /usr/local/bin/node_exporter --version 2>/dev/null | grep --quiet "version $NODE_EXPORTER_VERSION "; then
        fetch "$NODE_EXPORTER_FILE" "$NODE_EXPORTER_SHA256"
        tar --extract --gzip --file="/usr/local/src/${NODE_EXPORTER_FILE##*/}" --directory=/usr/local/bin --strip-components=1 --wildcards '*/node_exporter'
    fi
    mkdir --parents /var/lib/node_exporter/textfile_collector
    unit node_exporter "/usr/local/bin/node_exporter --web.listen-address=:9100 --collector.textfile.directory=/var/lib/node_exporter/textfile_collector"
}

role_efa_exporter() {
    install --mode=0755 "$EFA_EXPORTER_FILE" /usr/local/bin/efa_exporter
    unit efa_exporter "/usr/bin/python3 -I /usr/local/bin/efa_exporter --listen=:9109 --devices=/srv/infiniband"
}

role_lustre_client() {
    repository lustre "$LUSTRE_CLIENT_SOURCE"
    hold lustre_client $LUSTRE_CLIENT_PACKAGES
    $install $LUSTRE_CLIENT_PACKAGES
}

role_aws_cli() {
    if ! /usr/local/bin/aws --version 2>/dev/null | grep --quiet "^aws-cli/$AWS_CLI_VERSION "; then
        fetch "$AWS_CLI_FILE" "$AWS_CLI_SHA256"
        unzip -q -o "/usr/local/src/${AWS_CLI_FILE##*/}" -d /usr/local/src
        /usr/local/src/aws/install --update
        rm --recursive /usr/local/src/aws
    fi
}

# what a role says is shown where it fails
trap 'if [ $? -ne 0 ]; then cat /var/log/role.log >&2; fi' EXIT
for role in $ROLES; do
    since=$(date +%s%N)
    "role_$role" >/var/log/role.log 2>&1
    echo "$role $((($(date +%s%N) - since) / 1000000))"
done
