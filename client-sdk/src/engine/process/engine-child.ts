import { serveEngine } from "../runtime/engine-server.js";
import { startEngine } from "./start-engine.js";

// Ctrl-C reaches every process of a terminal; the application decides what becomes of a running step.
process.on("SIGINT", () => undefined);
// The application is gone, however it ended.
process.on("disconnect", () => process.exit(0));

serveEngine(
  {
    post: (message) => void process.send?.(message),
    onMessage: (listener) => void process.on("message", listener),
  },
  startEngine,
);
