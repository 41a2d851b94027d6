#!/bin/sh
# Runs cargo with the pinned toolchain and the tools that `make setup` installed.
set -eu
top=$(dirname "$0")/..
cd "$top"
. scripts/env.sh
case " $* " in
*' --release '* | *' --profile release '*) without_paths ;;
esac
as_builder cargo "$@"
