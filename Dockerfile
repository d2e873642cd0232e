# The images of Scoreline: api, worker, worker-python, worker-gpu. docs/docker.md says how to build and run them.
#
#   docker build --target api    --tag scoreline-api .
#   docker build --target worker --tag scoreline-worker --build-arg MODELS=faq-matcher .
#
# Nothing here needs BuildKit. The stages are in the order in which a builder without it needs them:
# it builds all that come before the target.

ARG NODE_IMAGE=node:24-bookworm-slim
# Any image with the runtime of CUDA 12 and cuDNN 9, on Debian or Ubuntu.
ARG CUDA_IMAGE=nvidia/cuda:12.8.1-cudnn-runtime-ubuntu22.04


# The production packages, from the lock file. None of them needs its install script (see .npmrc).
FROM ${NODE_IMAGE} AS packages
WORKDIR /packages
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev


# The program, and for each role a folder with what the role reaches and nothing else.
FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY --from=packages /packages/node_modules /packages/node_modules
COPY tsconfig.json tsconfig.image.json LICENSE NOTICE ./
COPY api api
COPY worker worker
COPY shared shared
COPY images images
COPY cli cli
COPY site site
COPY docs docs
COPY client client
COPY README.md CHANGELOG.md SECURITY.md ./
RUN npx --no-install tsc --project tsconfig.image.json \
  && node dist/cli/build/docs.js \
  && node dist/cli/build/page.js \
  && node dist/cli/build/bundle.js \
  && node dist/cli/image.js assemble api /packages /out/api \
  && node dist/cli/image.js assemble worker /packages /out/worker


# The models to bake into the images: names, separated by commas. None by default.
FROM build AS models
ARG MODELS=
COPY models models
RUN node dist/cli/image.js bake api "${MODELS}" /out/models/api \
  && node dist/cli/image.js bake worker "${MODELS}" /out/models/worker


# Node, an init, and a user without rights. npm and yarn are for building only.
#
# The init is needed: a worker whose engine is lost kills itself, which process 1 cannot do.
FROM ${NODE_IMAGE} AS runtime
RUN apt-get update \
  && apt-get install --yes --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
    /usr/local/lib/node_modules /usr/local/bin/np[mx] /usr/local/bin/corepack \
    /usr/local/bin/yarn* /opt/yarn* \
  && install --directory --owner=1000 --group=1000 /var/cache/scoreline /models
WORKDIR /app
ENV NODE_ENV=production MODELS_DIR=/models
USER 1000:1000
ENTRYPOINT ["tini", "--", "node", "/app/dist/cli/launch.js"]


FROM runtime AS api
COPY --from=build /out/api ./
COPY --from=models /out/models/api /models
ENV HOST=:: PORT=8080 METRICS_PORT=8081
EXPOSE 8080 8081
CMD ["api"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "/app/dist/cli/probe.js", "api"]
ARG MODELS=
ENV MODELS=${MODELS}
ARG NODE_IMAGE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="scoreline-api" \
  org.opencontainers.image.description="The HTTP API of Scoreline. It never loads a model." \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.base.name="${NODE_IMAGE}" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}" \
  org.opencontainers.image.source="${SOURCE}"


FROM runtime AS worker
COPY --from=build /out/worker ./
COPY --from=models /out/models/worker /models
ENV MODEL_CACHE_DIR=/var/cache/scoreline PROBE_PORT=8081
EXPOSE 8081
CMD ["worker"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "/app/dist/cli/probe.js", "worker"]
ARG MODELS=
ENV MODELS=${MODELS}
ARG NODE_IMAGE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="scoreline-worker" \
  org.opencontainers.image.description="A worker of Scoreline: takes requests from the queue and scores them on the CPU." \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.base.name="${NODE_IMAGE}" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}" \
  org.opencontainers.image.source="${SOURCE}"


# The environments of the Python programs among the models.
FROM models AS environments
RUN apt-get update \
  && apt-get install --yes --no-install-recommends python3 python3-venv
RUN node dist/cli/image.js environments /out/models/worker


# A worker for models that are Python programs.
FROM worker AS worker-python
USER 0:0
RUN apt-get update \
  && apt-get install --yes --no-install-recommends python3 \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/*
COPY --from=environments /out/models/worker /models
USER 1000:1000
LABEL org.opencontainers.image.title="scoreline-worker-python" \
  org.opencontainers.image.description="A worker of Scoreline with Python, for models that are Python programs."


# ONNX Runtime's CUDA provider, which its own script downloads: 12.x is all it knows. `skip` builds
# the image without it, where the download cannot be reached.
FROM build AS cuda
ARG CUDA_PROVIDER=cuda12
RUN cd /packages/node_modules/onnxruntime-node \
  && ONNXRUNTIME_NODE_INSTALL=${CUDA_PROVIDER} node script/install.js \
  && rm -f bin/napi-v6/linux/*/libonnxruntime_providers_tensorrt.so \
  && rm -rf /out/worker && node /build/dist/cli/image.js assemble worker /packages /out/worker


FROM ${CUDA_IMAGE} AS worker-gpu
COPY --from=runtime /usr/local/bin/node /usr/local/bin/node
RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates libstdc++6 tini \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/* \
  && install --directory --owner=1000 --group=1000 /var/cache/scoreline /models
WORKDIR /app
COPY --from=cuda /out/worker ./
COPY --from=models /out/models/worker /models
ENV NODE_ENV=production MODELS_DIR=/models MODEL_CACHE_DIR=/var/cache/scoreline PROBE_PORT=8081
USER 1000:1000
EXPOSE 8081
ENTRYPOINT ["tini", "--", "node", "/app/dist/cli/launch.js"]
CMD ["worker"]
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "/app/dist/cli/probe.js", "worker"]
ARG MODELS=
ENV MODELS=${MODELS}
ARG CUDA_IMAGE
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=
LABEL org.opencontainers.image.title="scoreline-worker-gpu" \
  org.opencontainers.image.description="A worker of Scoreline with ONNX Runtime's CUDA provider." \
  org.opencontainers.image.licenses="MIT" \
  org.opencontainers.image.base.name="${CUDA_IMAGE}" \
  org.opencontainers.image.version="${VERSION}" \
  org.opencontainers.image.revision="${REVISION}" \
  org.opencontainers.image.created="${CREATED}" \
  org.opencontainers.image.source="${SOURCE}"
