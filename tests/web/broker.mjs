// A broker of the binary under test, in a directory of its own. FANWIRE names the binary.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BINARY = process.env.FANWIRE ?? new URL("../../target/debug/fanwire", import.meta.url).pathname;

/** Starts a broker whose topics below match/ are journaled; it keeps its port over restarts. */
export async function startBroker(extra = [], settings = "") {
  const directory = await mkdtemp(join(tmpdir(), "fanwire-web-"));
  const broker = { port: await freePort(), process: null };
  broker.url = `http://127.0.0.1:${broker.port}`;
  await writeFile(join(directory, "fanwire.toml"), settings);
  broker.start = async () => {
    const flags = ["serve", "--config", join(directory, "fanwire.toml"), "--listen", `127.0.0.1:${broker.port}`,
      "--data", join(directory, "data"), "--journal", "events=match/#"];
    broker.process = spawn(BINARY, [...flags, ...extra], { stdio: ["ignore", "pipe", "pipe"] });
    broker.exit = new Promise((resolve) => broker.process.once("exit", resolve));
    broker.process.once("error", (error) => { throw error; });
    await Promise.race([heard(broker.process.stdout, /serving|try /), failed(broker)]);
  };
  broker.stop = async (signal = "SIGKILL") => {
    broker.process.kill(signal);
    await broker.exit;
  };
  broker.close = async () => {
    await broker.stop();
    await rm(directory, { recursive: true });
  };
  await broker.start();
  return broker;
}

async function failed(broker) {
  throw new Error(`the broker ended with ${await broker.exit}`);
}

/** Resolves when the output has matched; goes on reading, so that the broker never waits for us. */
function heard(stream, pattern) {
  let text = "";
  return new Promise((resolve) => stream.on("data", (bytes) => {
    text += bytes;
    if (pattern.test(text)) resolve();
  }));
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
