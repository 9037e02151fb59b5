# Doorline as an image: built in one stage, run in another that holds the binary and nothing else.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential cmake \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The commit that `doorline --version` shows; the build context has no .git.
ARG DOORLINE_COMMIT=unknown
ENV DOORLINE_COMMIT=${DOORLINE_COMMIT}
RUN cargo build --release --locked --bin doorline

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --home-dir /var/lib/doorline --create-home doorline
COPY --from=build /src/target/release/doorline /usr/local/bin/doorline
USER doorline
WORKDIR /var/lib/doorline
EXPOSE 8080 9180
# SIGTERM is an orderly end: what is open is answered, what is in hand comes to rest in the ledger.
STOPSIGNAL SIGTERM
ENTRYPOINT ["doorline"]
CMD ["serve", "--config", "/etc/doorline/config.toml"]
