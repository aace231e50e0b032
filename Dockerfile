# The image of the GitHub Action and of GitLab jobs: busybox, a CA bundle and one static binary with a second name,
# `envsync-cleanup`, which GitHub starts at the end of the job (an entry point of an action takes no arguments).
#
# Both bases and the stage that the binary comes from are arguments, so that the image also builds where no registry can
# be reached: `--build-arg BINARY=given` takes a binary and a CA bundle from the build context (tests/container/run).

ARG RUST_IMAGE=rust:1.95-slim-bookworm
ARG BASE_IMAGE=busybox:1.37-musl
# `compiled` or `given`.
ARG BINARY=compiled

FROM ${RUST_IMAGE} AS compiled
WORKDIR /src
COPY . .
RUN .ci/binary /out/usr/local/bin \
 && rm /out/usr/local/bin/envsync-* \
 && ln -s envsync /out/usr/local/bin/envsync-cleanup \
 && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM scratch AS given
# Set by the engine: `amd64` or `arm64`. The build context has a folder for each, with the binary and its second name.
ARG TARGETARCH
COPY ${TARGETARCH}/ /out/usr/local/bin/
COPY ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt

FROM ${BINARY} AS binary

FROM ${BASE_IMAGE}
COPY --from=binary /out/ /
# No ENTRYPOINT: GitLab starts the image's `sh`. No USER: GitHub's runner needs root in there, and the file gets the owner
# of its directory. No WORKDIR: GitHub and GitLab set theirs.
CMD ["envsync"]
