#!/bin/sh
# Install what rendering (egl), the browser tests (chromium) and the test of deploy/nginx (nginx)
# need from Debian, where apt may be used; elsewhere say what to install.
# Usage: system-packages.sh [egl] [chromium] [nginx]
set -eu

missing=""
for need in "$@"; do
    case "$need" in
    egl)
        for library in libEGL.so.1 libGL.so.1; do
            if ! ldconfig -p 2>/dev/null | grep -q "$library"; then
                case "$library" in
                libEGL.so.1) missing="$missing libegl1" ;;
                libGL.so.1) missing="$missing libgl1" ;;
                esac
            fi
        done
        ;;
    chromium)
        command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
        ;;
    nginx)
        # /usr/sbin is not in everybody's path
        [ -x /usr/sbin/nginx ] || command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light"
        command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
        ;;
    *)
        echo "system-packages.sh: unknown need '$need' (egl, chromium, nginx)" >&2
        exit 2
        ;;
    esac
done
[ -n "$missing" ] || exit 0
[ "$(uname -s)" = Linux ] || exit 0

run=""
[ "$(id -u)" = 0 ] || run="sudo -n"
if command -v apt-get >/dev/null 2>&1 && { [ -z "$run" ] || $run true 2>/dev/null; }; then
    echo "Installing$missing (apt)"
    $run apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "Please install these system packages, then run make again:$missing" >&2
    echo "  on Debian or Ubuntu: sudo apt-get install$missing" >&2
    exit 1
fi
