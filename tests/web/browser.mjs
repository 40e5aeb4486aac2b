// Headless Chromium, driven by playwright-core. CHROMIUM names the browser; playwright-core is looked for from the
// directory that the tests are run in.

import { existsSync } from "node:fs";
import { createRequire } from "node:module";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";

/** What is missing, or false, and how to begin. */
export function findBrowser() {
  const playwright = findPlaywright();
  const missing = !playwright ? "playwright-core is not here: run tests/web/install"
    : !existsSync(CHROMIUM) ? `no browser at ${CHROMIUM}: set CHROMIUM` : false;
  const launch = () => playwright.chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox"] });
  return { missing, launch };
}

function findPlaywright() {
  try {
    return createRequire(`${process.cwd()}/`)("playwright-core");
  } catch {
    return null;
  }
}
