#!/bin/sh
# Installs the servers that gochat is compared with: Debian packages when run by root, the others into .build/peers.
# What can't be installed is left out; the comparison names it. PYTHON is the interpreter for the environment.
set -u
cd "$(dirname "$0")/../.." || exit 1
BUILD=.build/peers
PYTHON=${PYTHON:-python3}
PACKAGES="ejabberd prosody ngircd mosquitto nats-server"
PROGRAMS="nodejs npm"
POLICY=/usr/sbin/policy-rc.d

has() { dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# One at a time, so that one that fails costs itself. None of them is to run as a service: not now, not at the next boot.
debian() {
    if ! has "$1"; then
        units=$1
        [ "$1" = ejabberd ] && ! has erlang-base && units="ejabberd epmd"
        echo "installing $1"
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>"$BUILD/apt.log" ||
            { echo "$1 could not be installed:"; tail -3 "$BUILD/apt.log"; return; }
        command -v systemctl >/dev/null && systemctl disable $units >/dev/null 2>&1
    fi
}

all_debian() {
    missing=
    for package in $PACKAGES; do has "$package" || missing=yes; done
    command -v node >/dev/null && command -v npm >/dev/null || missing=yes
    [ -n "$missing" ] || return
    apt-get update -qq || echo "apt-get update failed"
    if [ ! -e $POLICY ]; then
        printf '#!/bin/sh\nexit 101\n' >$POLICY && chmod +x $POLICY
        trap 'rm -f $POLICY' EXIT
        trap 'exit 1' HUP INT TERM
    fi
    for package in $PACKAGES; do debian "$package"; done
    command -v node >/dev/null && command -v npm >/dev/null || for package in $PROGRAMS; do debian "$package"; done
}

mkdir -p $BUILD/node
if [ "$(id -u)" != 0 ]; then
    echo "not root: Debian packages are used where they are installed ($PACKAGES)"
elif command -v apt-get >/dev/null; then
    all_debian
fi

if command -v npm >/dev/null; then
    [ -d $BUILD/node/node_modules/socket.io ] || {
        echo "installing socket.io"
        [ -f $BUILD/node/package.json ] || echo '{"private": true}' >$BUILD/node/package.json
        npm install --prefix $BUILD/node --no-audit --no-fund --loglevel=error socket.io bufferutil ||
            echo "socket.io could not be installed"
    }
fi

[ -x $BUILD/venv/bin/python ] || "$PYTHON" -m venv $BUILD/venv
$BUILD/venv/bin/python -c 'import socketio, uvicorn, uvloop, httptools, websockets' 2>/dev/null || {
    echo "installing python-socketio, uvicorn and websockets"
    $BUILD/venv/bin/python -m pip --disable-pip-version-check --quiet install python-socketio 'uvicorn[standard]' uvloop \
        websockets || echo "the Python peers could not be installed"
}
exit 0
