#!/bin/sh
# package-test.sh [MIRROR]: tests the package of target/release/firewall in a clean Debian, together with one of a higher
# version, which is built of the same source with other versions of the image and of the kernel interface.
set -eu
cd "$(dirname "$0")/.."
. scripts/env.sh
without_paths

target=${CARGO_TARGET_DIR:-$(pwd)/target}
tree=$(pwd)/target/package/newer
binary=$target/release/firewall

# edit FILE EXPRESSION: with the time of the file kept, so that cargo builds it once.
edit() {
    cp -p "$tree/$1" "$tree/edited"
    sed "$2" "$tree/edited" >"$tree/$1"
    ! cmp -s "$tree/edited" "$tree/$1" || {
        echo "package-test: \`$2\` changes nothing in \`$1\`" >&2
        exit 1
    }
    touch -r "$tree/edited" "$tree/$1"
    rm "$tree/edited"
}

package=$(scripts/package.sh "$binary" | tail -n 1)
rm -rf "$tree"
as_builder mkdir -p "$tree"
tar -c --exclude=./target --exclude=./.tools --exclude=./.git --exclude=./vm-tests/.cache . | as_builder tar -x -C "$tree"
ln -s ../../../.tools "$tree/.tools"
edit Cargo.toml '/^\[workspace.package\]/,/^\[/s/^version = .*/version = "99.0.0"/'
edit firewall-ebpf/src/abi.rs 's/^pub const VERSION: u32 = /&9/'
edit firewall-ebpf/src/image/header.rs "s/\[b'F', b'W', b'I', /&1/"

# With the same target folder the dependencies are built once; the command is then built again, as the one of this tree.
as_builder cargo build --release --offline --target-dir "$target" --manifest-path "$tree/Cargo.toml" -p firewall
as_builder cp "$binary" "$tree/firewall-binary"
as_builder cargo build --release --locked --target-dir "$target" -p firewall -p package-tests
newer=$tree/$("$tree/scripts/package.sh" "$tree/firewall-binary" | tail -n 1)

exec "$target/release/package-tests" --package "$package" --newer "$newer" --debian target/package/bookworm \
    ${1:+--mirror "$1"}
