#!/usr/bin/env bash
# Puts the engines of the next Debian (RabbitMQ 4, Redis 8, Postgres 17) into FOLDER, beside those that are installed: a
# merchant may run either. Nothing outside FOLDER changes and no root is needed. Packages are unpacked only, and their
# programs are told to take the loader and the libraries that came with them. FOLDER/bin goes first on the PATH.
# Usage: newer-engines.sh FOLDER. DEBIAN_MIRROR says where from, if apt does not know a mirror of Debian itself.
set -euo pipefail
release=trixie
packages=(rabbitmq-server redis-server postgresql-17)
mkdir -p "$1"
folder=$(realpath "$1")
apt=$folder/apt root=$folder/root bin=$folder/bin

mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | sort -u | head -n 1)}
[ -n "$mirror" ] || { echo "apt knows no mirror of Debian: set DEBIAN_MIRROR" >&2; exit 1; }

# An apt of its own, to which nothing is installed yet: it fetches everything that the engines stand on.
rm -rf "$folder"
mkdir -p "$apt"/{etc,state/lists/partial,cache/archives/partial} "$root" "$bin"
: >"$apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$apt/etc/sources.list"
cat >"$apt/apt.conf" <<CONF
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/etc/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Install-Recommends "false";
APT::Sandbox::User "";
Acquire::Retries "3";
CONF
export APT_CONFIG=$apt/apt.conf DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install --download-only -qq -y "${packages[@]}" >/dev/null
for package in "$apt"/cache/archives/*.deb; do
  # Data only of what the engines need: fonts, locales and documentation would be half of it.
  dpkg-deb --fsys-tarfile "$package" | tar -x -C "$root" --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale'
done

libraries=$(dirname "$(find "$root/usr/lib" -name 'libc.so.6' | head -n 1)")
loader=$(find "$libraries" -name 'ld-linux*' | head -n 1)
erlang=$root/usr/lib/erlang
find "$erlang/erts-"*/bin "$erlang/bin" "$erlang/lib/"os_mon*/priv/bin "$root"/usr/lib/postgresql/*/bin "$root/usr/bin/redis-check-rdb" -type f |
  while read -r program; do
    [ "$(head -c 4 "$program" | tail -c 3)" != ELF ] ||
      # Not the run path of newer linkers: libraries that a program opens later must inherit it.
      patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libraries" "$program"
  done
sed -i "s#=/usr/lib/erlang#=$erlang#" "$erlang/bin/erl"

ln -s "$root/usr/bin/redis-server" "$erlang"/bin/{erl,escript,epmd} "$bin"
for tool in postgres initdb psql; do ln -s "$root"/usr/lib/postgresql/*/bin/$tool "$bin"; done
for tool in rabbitmq-server rabbitmqctl; do
  # Its scripts look for Erlang on the PATH, and for each other beside the file that was called.
  printf '#!/bin/sh\nPATH="%s:$PATH" exec "%s" "$@"\n' "$bin" "$root/usr/lib/rabbitmq/bin/$tool" >"$bin/$tool"
  chmod +x "$bin/$tool"
done
rm -rf "$apt"
"$bin/redis-server" --version >/dev/null
"$bin/postgres" --version >/dev/null
"$bin/erl" -noshell -eval '{ok, _} = application:ensure_all_started(crypto), halt().'
touch "$folder/complete"
