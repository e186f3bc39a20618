# `ocelli serve` in a container: docker build -t ocelli . && docker run -p 8080:8080 -e OCELLI_API_KEY -v /path/to/package:/model:ro ocelli
FROM rust:1.95-slim-bookworm AS build
WORKDIR /source
COPY . .
# The page, if `./build.sh build` has made it.
RUN if [ -f target/page.pack ]; then export OCELLI_PAGE=target/page.pack; fi; cargo build --locked --release --bin ocelli

FROM debian:bookworm-slim
# libvulkan1 finds a GPU if the container was given one (--device /dev/dri); without one the processor computes.
RUN apt-get update && apt-get install -y --no-install-recommends libvulkan1 mesa-vulkan-drivers ca-certificates curl \
  && rm -rf /var/lib/apt/lists/* && useradd --create-home ocelli
COPY --from=build /source/target/release/ocelli /usr/local/bin/ocelli
COPY --from=build /source/LICENSE-APACHE /source/LICENSE-MIT /source/THIRD-PARTY.txt /usr/share/doc/ocelli/
USER ocelli
EXPOSE 8080
HEALTHCHECK --interval=10s --start-period=120s CMD curl -fsS http://127.0.0.1:8080/health || exit 1
ENTRYPOINT ["ocelli"]
CMD ["serve", "/model", "--host", "0.0.0.0", "--port", "8080"]
