# usher as an image: the binary alone. Build: docker build -t usher:checkout .
# The embedded engine (demo) is not in it; run, audit, check and the other commands need none.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /out/usher ./cmd/usher

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates tzdata wget \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --home-dir /var/lib/usher --create-home usher
COPY --from=build /out/usher /usr/local/bin/usher
USER usher
WORKDIR /var/lib/usher
ENTRYPOINT ["usher"]
CMD ["run"]
