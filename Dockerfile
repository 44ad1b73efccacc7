# syntax=docker/dockerfile:1
# One static binary, in an image with nothing else: no shell, no package manager.
#
#   docker build --build-arg VERSION=$(git describe --tags --always) -t towpath .
#   docker run --read-only -v towpath-cache:/cache towpath version
#
# Git is spoken over http(s) and ssh; there is no git binary in the image.

FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH
ARG VERSION=devel
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/towpath ./cmd/bot
RUN mkdir -p /out/cache

FROM scratch
ARG VERSION=devel
LABEL org.opencontainers.image.title="towpath" \
      org.opencontainers.image.description="Git-native image updates and promotion, with a reconciler built in" \
      org.opencontainers.image.url="https://towpath.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/towpath /towpath
# The only place that is written to; everything in it may be deleted at any time.
COPY --from=build --chown=65532:65532 /out/cache /cache
ENV TOWPATH_CACHE=/cache TMPDIR=/cache HOME=/cache
VOLUME /cache
USER 65532:65532
ENTRYPOINT ["/towpath"]
CMD ["--help"]
