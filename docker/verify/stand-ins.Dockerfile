# What verify.sh runs in place of the public images, where no registry of images is reached: the same programs from Debian's
# packages and from pip, started by the same environment variables, commands and volumes as docker-compose.yml uses.
ARG BASE=docker.io/library/debian:bookworm-slim

FROM ${BASE} AS postgres
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends postgresql-15 && rm -rf /var/lib/apt/lists/*
COPY docker/verify/postgres.sh /usr/local/bin/stand-in
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data/pgdata
RUN install -d -o postgres -g postgres -m 0700 /var/lib/postgresql/data
# hadolint ignore=DL3066
USER postgres
VOLUME ["/var/lib/postgresql/data"]
STOPSIGNAL SIGINT
CMD ["/bin/sh", "/usr/local/bin/stand-in"]

FROM ${BASE} AS redis
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
RUN install -d -o redis -g redis /data
WORKDIR /data
# hadolint ignore=DL3066
USER redis
VOLUME ["/data"]
# The public image lets other hosts in, too.
ENTRYPOINT ["/bin/sh", "-c", "exec \"$@\" --protected-mode no --bind 0.0.0.0", "sh"]
CMD ["redis-server"]

FROM ${BASE} AS label-studio
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/* && python3 -m venv /opt/label-studio
COPY backend/labelloop/demo/label-studio-constraints.txt /tmp/constraints.txt
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    /opt/label-studio/bin/pip install --no-cache-dir --no-compile -c /tmp/constraints.txt label-studio==1.23.2
RUN useradd --uid 1001 --home-dir /label-studio label-studio && install -d -o 1001 /label-studio /label-studio/data
ENV PATH=/opt/label-studio/bin:$PATH LABEL_STUDIO_BASE_DATA_DIR=/label-studio/data
WORKDIR /label-studio
USER 1001
VOLUME ["/label-studio/data"]
CMD ["label-studio"]
