# syntax=docker/dockerfile:1
# Stockpot in containers, made by the same scripts as everywhere else.
#
#   docker build --target cpu -t stockpot:cpu .
#   docker build --target gpu -t stockpot:gpu .
#   docker run --rm -p 127.0.0.1:8433:8433 -v /data:/data:ro -v stockpot:/var/lib/stockpot stockpot:cpu \
#     --listen=0.0.0.0:8433 --allow_insecure_remote --allowed_root=/data --allowed_architecture_prefix=/data/arch

FROM debian:12-slim AS dependencies
ENV STOCKPOT_DEPENDENCIES=/opt/stockpot/deps
WORKDIR /src
COPY deploy/install-dependencies deploy/dependencies.txt deploy/debian-packages.txt deploy/
RUN deploy/install-dependencies && rm -rf /var/lib/apt/lists/*

FROM dependencies AS build
COPY . .
RUN cmake --preset release -DSTOCKPOT_BUILD_TESTS=OFF \
    && cmake --build --preset release --target stockpotd stockpot-worker stockpot stockpot-merge \
    && cmake --install build/release --prefix /opt/stockpot --strip

# What LibTorch and Arrow need at run time: their libraries, without headers, Python bindings, profilers and the CUDA half, and
# without symbols (93 MB of libtorch_cpu alone).
FROM dependencies AS libraries-cpu
WORKDIR $STOCKPOT_DEPENDENCIES
RUN rm -rf torch/include torch/share pyarrow/include googleapis .stamps .lock torch/lib/libtorch_python.so \
    torch/lib/*_cuda* torch/lib/*nv* nvidia/cu13/lib/libnvperf* nvidia/cu13/lib/*.a \
    && find . -name '*.so*' -type f -exec strip --strip-unneeded {} +

FROM dependencies AS libraries-gpu
RUN deploy/install-dependencies --gpu --no-apt
WORKDIR $STOCKPOT_DEPENDENCIES
RUN rm -rf torch/include torch/share pyarrow/include googleapis .stamps .lock torch/lib/libtorch_python.so nvidia/cu13/lib/*.a

FROM debian:12-slim AS runtime
LABEL org.opencontainers.image.title="Stockpot" \
      org.opencontainers.image.description="Model soups as a gRPC service" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY deploy/install-dependencies deploy/debian-packages.txt /tmp/deploy/
RUN /tmp/deploy/install-dependencies --runtime --no-wheels && rm -rf /tmp/deploy /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 stockpot \
    && useradd --system --uid 10001 --gid stockpot --create-home --home-dir /var/lib/stockpot stockpot
COPY --from=build /opt/stockpot/bin /opt/stockpot/bin
COPY --from=build /opt/stockpot/share /opt/stockpot/share
ENV PATH=/opt/stockpot/bin:$PATH
# By number, so that Kubernetes can see that it is not root. Only /var/lib/stockpot and /tmp are written to: the root file
# system may be read-only.
USER 10001:10001
WORKDIR /var/lib/stockpot
VOLUME /var/lib/stockpot
EXPOSE 8433 9464
# Asks the server itself, at 127.0.0.1:8433 in plaintext unless the client's variables (STOCKPOT_SERVER, STOCKPOT_CA_FILE,
# STOCKPOT_TOKEN_FILE) say otherwise: deploy/compose.yaml sets them.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s \
  CMD ["stockpot", "capabilities"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["stockpotd", "--data_folder=/var/lib/stockpot/data"]

FROM runtime AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=libraries-gpu /opt/stockpot/deps /opt/stockpot/deps

# The last stage is what a plain `docker build .` makes.
FROM runtime AS cpu
COPY --from=libraries-cpu /opt/stockpot/deps /opt/stockpot/deps
