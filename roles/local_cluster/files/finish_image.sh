#!/bin/sh
# Customize hook of mmdebstrap: what all nodes share and packages do not do. $1 is the root of the image.
set -eu
root=$1

# the roles enable what a node needs
chroot "$root" systemctl --quiet disable munge slurmctld slurmd slurmdbd mariadb
chroot "$root" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer fstrim.timer \
    e2scrub_all.timer e2scrub_reap.service systemd-timesyncd.service

chroot "$root" useradd --uid 1000 --create-home --shell /bin/bash trainer
install -d -m 1777 "$root/fsx" "$root/cache"

# every container makes its own
rm -f "$root"/etc/ssh/ssh_host_* "$root/etc/munge/munge.key"
: >"$root/etc/machine-id"
install -d "$root/etc/systemd/system/ssh.service.d"
cat >"$root/etc/systemd/system/ssh.service.d/host-keys.conf" <<'UNIT'
[Service]
ExecStartPre=
ExecStartPre=/usr/bin/ssh-keygen -A
ExecStartPre=/usr/sbin/sshd -t
UNIT

# certificates that this machine trusts beside Debian's
if [ -n "${NODE_CERTIFICATES:-}" ]; then
    cp $NODE_CERTIFICATES "$root/usr/local/share/ca-certificates/"
    chroot "$root" update-ca-certificates --fresh >/dev/null
fi
