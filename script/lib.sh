# What the scripts share: saying what is done, and getting what a machine lacks. Sourced, not run.

say() { printf '\n\033[1m==> %s\033[0m\n' "$*" >&2; }
die() { printf '\n%s\n' "$*" >&2; exit 1; }

# The oldest Rust that builds this workspace, as Cargo.toml has it.
require_rust() {
  local needs has
  needs=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
  command -v cargo >/dev/null || [ ! -r "$HOME/.cargo/env" ] || . "$HOME/.cargo/env"
  command -v cargo >/dev/null || die "Rust is missing. Install it with rustup (https://rustup.rs), or with your system's package manager, then run this again. Rust $needs or later is needed."
  has=$(rustc --version | awk '{print $2}')
  [ "$(printf '%s\n%s\n' "$needs" "$has" | sort -V | head -n 1)" = "$needs" ] ||
    die "Rust $has is too old: $needs or later is needed. With rustup: rustup update stable."
}

# Installs Debian packages by name, when they are missing and this is a machine where that can be done.
install_debian() {
  command -v apt-get >/dev/null || die "Missing: $*. Install it with this system's package manager, then run this again."
  local sudo=""
  [ "$(id -u)" -eq 0 ] || sudo="sudo"
  say "Installing $* from Debian's packages"
  $sudo apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >&2
}

# The folder of PostgreSQL's programs (14 or later), installed when there is none.
postgres_programs() {
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$(dirname "$(command -v initdb || echo /none/initdb)")"; do
    [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && { echo "$folder"; return; }
  done
  install_debian postgresql
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
    [ -x "$folder/initdb" ] && { echo "$folder"; return; }
  done
  die "PostgreSQL was installed, but initdb is not in /usr/lib/postgresql/*/bin."
}

# Node, npm, and Chromium for what is shown and measured in a browser; its path goes into CREWLINE_CHROMIUM.
require_chromium() {
  command -v npm >/dev/null || install_debian nodejs npm
  CREWLINE_CHROMIUM=${CREWLINE_CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
  if [ -z "$CREWLINE_CHROMIUM" ]; then
    install_debian chromium
    CREWLINE_CHROMIUM=$(command -v chromium)
  fi
  export CREWLINE_CHROMIUM
}

# A virtual environment for interpreter $1 in the user's cache, with the Python package from here and all that its tests need; prints its folder.
# There is one for each version and each set of requirements.
python_environment() {
  local python=$1 environment
  command -v python3 >/dev/null && python3 -c "import venv, ensurepip" 2>/dev/null || install_debian python3 python3-venv
  environment=${XDG_CACHE_HOME:-$HOME/.cache}/crewline/python-$("$python" -c "import sys; print('%d.%d' % sys.version_info[:2])")-$(pwd | cat - clients/python/pyproject.toml clients/python/constraints.txt | sha256sum | cut -c1-12)
  if [ ! -e "$environment/.complete" ]; then
    say "Installing CrewAI and the other frameworks for $("$python" --version) into $environment (some minutes)"
    rm -rf "$environment"
    "$python" -m venv "$environment" >&2
    "$environment/bin/pip" install --quiet --disable-pip-version-check --constraint clients/python/constraints.txt \
      --editable "clients/python[crewai,langgraph,openai-agents,agno,test]" >&2
    touch "$environment/.complete"
  fi
  echo "$environment"
}

free_port() {
  # A port that the kernel says is free now; taken again by who asked.
  local port
  for port in $(shuf -i 20000-60000 -n 50); do
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
  die "No free port was found on 127.0.0.1."
}

# Starts a PostgreSQL of its own in folder $1 and prints its URL. It refuses to run as root, so root runs it as `postgres`.
start_postgres() {
  local folder=$1 programs port as=()
  programs=$(postgres_programs)
  port=$(free_port)
  mkdir -p "$folder"
  if [ "$(id -u)" -eq 0 ]; then
    as=(runuser -u postgres --)
    chown postgres "$folder"
    chmod 711 "$(dirname "$folder")"
  fi
  (
    cd /
    "${as[@]}" "$programs/initdb" -D "$folder/data" -U crewline --auth=trust --encoding=UTF8 --locale=C >"$folder/../initdb.log" 2>&1 ||
      { cat "$folder/../initdb.log" >&2; exit 1; }
    # As durable as it comes; room for its log, so that no checkpoint comes in between what is measured.
    "${as[@]}" "$programs/pg_ctl" -D "$folder/data" -w -t 60 -l "$folder/log" \
      -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder -c max_connections=300 -c max_wal_size=4GB -c checkpoint_timeout=30min" start >/dev/null
  ) || die "PostgreSQL did not start; its log is $folder/log."
  echo "postgres://crewline@127.0.0.1:$port/postgres"
}

# Stops the PostgreSQL that start_postgres started in folder $1.
stop_postgres() {
  local folder=$1 programs as=()
  [ -d "$folder/data" ] || return 0
  programs=$(postgres_programs)
  [ "$(id -u)" -ne 0 ] || as=(runuser -u postgres --)
  (cd / && "${as[@]}" "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1) || true
}
