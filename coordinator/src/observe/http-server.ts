import { FedLoraError, type Logger } from "@fedlora/core";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Registry } from "prom-client";

export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly registry: Registry;
  /** Why the coordinator cannot take work now; undefined when it can. */
  readonly notReady: () => Promise<string | undefined>;
  readonly logger: Logger;
}

export interface HttpServer {
  readonly port: number;
  close(): Promise<void>;
}

/** /metrics for Prometheus, /healthz (the process answers), /readyz (it takes work). Throws `config-invalid`. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  const { host, logger } = options;
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error: unknown) => {
      logger.error({ err: error, url: request.url }, "an HTTP request failed");
      response.writeHead(500).end("internal error\n");
    });
  });
  server.requestTimeout = 10_000;
  server.headersTimeout = 10_000;
  server.maxConnections = 256;
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(
        new FedLoraError("config-invalid", `cannot listen on ${host}:${options.port}: ${cause.message}`, { cause }),
      );
    });
    server.listen(options.port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, options: HttpServerOptions): Promise<void> {
  if (request.method !== "GET" && request.method !== "HEAD") {
    send(response, 405, "only GET and HEAD\n");
    return;
  }
  switch (request.url?.split("?")[0]) {
    case "/metrics":
      send(response, 200, await options.registry.metrics(), options.registry.contentType);
      return;
    case "/healthz":
      send(response, 200, "ok\n");
      return;
    case "/readyz": {
      const reason = await options.notReady();
      send(response, reason === undefined ? 200 : 503, `${reason ?? "ready"}\n`);
      return;
    }
    default:
      send(response, 404, "/metrics, /healthz and /readyz are served here\n");
  }
}

function send(response: ServerResponse, status: number, body: string, type = "text/plain; charset=utf-8"): void {
  response.writeHead(status, { "content-type": type }).end(body);
}
