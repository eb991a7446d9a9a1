// Looks at every place of the window in a real browser, in both themes, empty, full and failed: axe's
// rules, and what axe cannot see — focus that shows and is not hidden, targets of 24 px, nothing cut
// off in a small window or at 200 % — under the content policy of the desktop.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { build, preview } from "vite";

const root = join(import.meta.dirname, "..");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'";
const FLAGS =
  "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync";

const FAILING =
  "listDefinitions,getDefinition,listSchedules,definitionHistory,deletedDefinitions,listRuns,getRun,listJobs,readLog,isPaused,runStatistics,diffRuns,searchDocuments,getDocument,getSettings,appInfo";
const STATES = { filled: "still", empty: "still&seed=empty", failed: `still&fail=${FAILING}` };
const PLACES = [
  "/",
  "/jobs",
  "/jobs/energy-news",
  "/jobs/morning-papers?view=history",
  "/runs",
  "/documents",
  "/settings",
  "/nowhere",
];
/** Places that only the full state has; the runs are added once their ids are known. */
const FILLED = [
  "/jobs/crawl-site?run=true",
  "/jobs/morning-papers",
  "/documents?q=solar&tags=%5B%22energy%22%5D",
  "/documents?q=nothing+like+it",
  '/documents?q="open',
  "/runs?status=failed",
  "/runs?status=paused",
];
const RUN_TABS = ["log", "documents", "statistics", "warnings", "definition"];

const outDir = mkdtempSync(join(tmpdir(), "quaero-axe-"));
const problems = [];
let looks = 0;

await build({ root, mode: "fake", logLevel: "error", build: { outDir, emptyOutDir: true } });
const server = await preview({
  root,
  logLevel: "error",
  build: { outDir },
  preview: { host: "127.0.0.1", port: 0, strictPort: false, headers: { "Content-Security-Policy": POLICY } },
});
const base = server.resolvedUrls?.local[0];
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: FLAGS.split(" "),
});

try {
  const runs = await runPlaces();
  for (const theme of ["light", "dark"]) {
    for (const [state, query] of Object.entries(STATES)) {
      const places =
        state === "filled" ? [...PLACES, ...FILLED, ...runs] : [...PLACES, "/runs/101", "/documents?doc=1"];
      await within({ theme, query, label: `${state}, ${theme}` }, async (page, label) => {
        for (const place of places) {
          await go(page, place);
          await rules(page, `${label}: ${place}`);
        }
        if (state !== "filled") return;
        // The last place is a document with a link that leads out.
        await page.getByRole("link", { name: "measuring guide" }).click();
        await page.getByRole("dialog").waitFor();
        await rules(page, `${label}: link dialog`);
        looks += 1;
        await page.keyboard.press("Escape");
        await acts(page, label, runs);
      });
    }
  }
  for (const [size, zoom] of [
    [[900, 650], 1],
    [[900, 650], 2],
    [[1280, 800], 1],
  ]) {
    const label = `${size.join("×")} at ${zoom * 100} %`;
    await within({ theme: "light", query: STATES.filled, label, size, zoom }, async (page, at) => {
      for (const place of [...PLACES, ...FILLED, ...runs]) {
        await go(page, place);
        await fits(page, `${at}: ${place}`);
        if (zoom === 1) await targets(page, `${at}: ${place}`);
        await tabThrough(page, `${at}: ${place}`);
      }
    });
  }
} finally {
  await browser.close();
  await server.close();
  rmSync(outDir, { recursive: true });
}

for (const problem of problems) console.error(`✕ ${problem}`);
console.log(`${looks} looks at the window, ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);

async function within({ theme, query, label, size = [1280, 800], zoom = 1 }, work) {
  const context = await browser.newContext({
    viewport: { width: size[0], height: size[1] },
    colorScheme: theme,
    reducedMotion: "reduce",
    // axe is put in by the page's own evaluation, which the policy would refuse.
    bypassCSP: false,
  });
  const page = await context.newPage();
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`${label}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${label}: ${error.message}`));
  await page.addInitScript((size) => {
    // As the desktop does it.
    Object.freeze(Object.prototype);
    localStorage.setItem("quaero.zoom", String(size));
  }, zoom);
  await page.goto(`${base}?${query}`);
  await page.waitForSelector("main h1");
  await work(page, label);
  await context.close();
}

async function runPlaces() {
  const places = [];
  await within({ theme: "light", query: STATES.filled, label: "runs" }, async (page) => {
    await go(page, "/runs");
    const runs = await page.$$eval("tbody a", (links) =>
      links.map((link) => ({ at: new URL(link.href).hash.slice(1), row: link.closest("tr").textContent })),
    );
    const warned = runs.find(({ row }) => /warning/.test(row)).at;
    const [repeat, first] = runs.filter(({ row }) => /completed.*Morning papers/.test(row));
    places.push(
      ...runs.map(({ at }) => at),
      ...RUN_TABS.map((tab) => `${warned}?tab=${tab}`),
      `${runs[0].at}?tab=log`,
      `${repeat.at}?tab=definition&with=${first.at.split("/").at(-1)}`,
    );
    await go(page, "/documents?q=title:panels");
    await page.getByTestId("search-result").first().click();
    await page.getByTestId("reading-pane").waitFor();
    places.push(decodeURIComponent(new URL(page.url()).hash.slice(1)));
  });
  return places;
}

/** What opens over a place or changes the frame: menus, dialogs, the pause of everything. */
async function acts(page, label, runs) {
  const button = (name) => page.getByRole("button", { name }).first().click();
  const item = (name) => page.getByRole("menuitem", { name }).click();
  const again = async (name) => {
    await button("Run again");
    await item(name);
  };
  const ended = runs.find((place) => place.includes("with=")).split("?")[0];
  const steps = [
    [ended, "again", () => button("Run again")],
    [ended, "from step", () => again("From step")],
    [ended, "other values", () => again("With other values…")],
    ["/jobs/crawl-site", "copy", () => button("Copy to edit…")],
    ["/jobs/morning-papers", "menu", () => button("More actions")],
    ["/jobs/morning-papers?view=history", "restore", () => button(/^Restore version/)],
    ["/settings", "limits", () => page.getByRole("textbox", { name: /^Keep for/ }).fill("30")],
    ["/settings", "forget", () => button("Forget old runs now…")],
    ["/jobs", "import", () => button("Import…")],
    [ended, "paused", () => button("Pause everything")],
  ];
  for (const [place, name, act] of steps) {
    await go(page, place);
    await act();
    await page.waitForTimeout(150);
    await rules(page, `${label}: ${name}`);
    looks += 1;
    for (let n = 0; n < 2; n += 1) await page.keyboard.press("Escape");
  }
}

/** Goes to a place and waits until it is there: no skeleton, and two frames without a change. */
async function go(page, place) {
  await page.evaluate((to) => {
    document.activeElement?.blur();
    location.hash = `#${to}`;
  }, place);
  for (let calm = 0; calm < 2; ) {
    const before = await page.innerHTML("body");
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50))));
    const there = await page.evaluate(
      () => document.querySelector("main h1") && !document.querySelector("[aria-label=Loading]"),
    );
    calm = there && (await page.innerHTML("body")) === before ? calm + 1 : 0;
  }
  looks += 1;
}

async function rules(page, label) {
  const present = await page.evaluate(() => "axe" in window);
  if (!present) await page.evaluate(axe);
  const { violations } = await page.evaluate((tags) => {
    // The guards around a menu hand the focus on at once; the menu itself belongs to its button.
    const context = { exclude: [["[data-base-ui-focus-guard]"]] };
    const rules = { region: { enabled: document.querySelector("[role=menu]") === null } };
    return window.axe.run(context, { runOnly: tags, rules, resultTypes: ["violations"] });
  }, TAGS);
  for (const { id, help, nodes } of violations) {
    for (const node of nodes)
      problems.push(
        `${label}: ${id}: ${help}\n    ${node.html.slice(0, 220)}\n    ${node.any[0]?.message ?? ""}`,
      );
  }
}

/** Nothing scrolls sideways that is not meant to, and nothing one can press lies outside. */
async function fits(page, label) {
  const wide = await page.evaluate(() => {
    const meant = (element) => element.closest("pre, table, [role=log], section.code") !== null;
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
      const style = getComputedStyle(element);
      const scrolls = /auto|scroll/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1;
      if (scrolls && !meant(element)) found.push(`scrolls sideways: ${element.outerHTML.slice(0, 140)}`);
    }
    for (const element of document.querySelectorAll("a, button, input, select, summary")) {
      const box = element.getBoundingClientRect();
      if (box.width > 2 && !meant(element) && (box.right > innerWidth + 1 || box.left < -1)) {
        found.push(`lies outside: ${element.outerHTML.slice(0, 140)}`);
      }
    }
    return found;
  });
  problems.push(...wide.map((one) => `${label}: ${one}`));
}

async function targets(page, label) {
  const small = await page.evaluate(() => {
    const found = [];
    for (const element of document.querySelectorAll(
      "main a, main button, main input, main select, main summary, nav a, nav button",
    )) {
      const target = element.matches("input[type=checkbox], input[type=radio]")
        ? element.closest("label")
        : element;
      // Links within a sentence or a heading are excepted.
      if (!target || target.closest(".prose") || getComputedStyle(target).display === "inline") continue;
      const box = target.getBoundingClientRect();
      if (box.width === 0 || target.closest("[hidden]")) continue;
      const covered =
        getComputedStyle(target, "::after").position === "absolute" ? target.closest("tr") : null;
      const real = covered?.getBoundingClientRect() ?? box;
      if (real.width < 23.5 || real.height < 23.5)
        found.push(`${Math.round(real.width)}×${Math.round(real.height)}: ${target.outerHTML.slice(0, 140)}`);
    }
    return found;
  });
  problems.push(...small.map((one) => `${label}: target too small, ${one}`));
}

/** Tabs through the page: each focus shows, can be seen, and no place holds it. */
async function tabThrough(page, label) {
  let last = null;
  for (let n = 0; n < 80; n += 1) {
    await page.keyboard.press("Tab");
    // The guards at the ends of a dialog hand the focus on a moment later; nobody tabs faster.
    await page.waitForFunction(() => !document.activeElement?.hasAttribute("data-base-ui-focus-guard"));
    const focus = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const box = element.getBoundingClientRect();
      const x = Math.min(innerWidth - 1, Math.max(0, box.left + box.width / 2));
      const [top, bottom] = [Math.max(0, box.top), Math.min(innerHeight - 1, box.bottom)];
      // Seen in part is seen: a tall region need not be shown whole.
      const seen = [0.05, 0.3, 0.5, 0.7, 0.95].some((part) => {
        const there = document.elementFromPoint(x, top + (bottom - top) * part);
        return (
          element.contains(there) || there?.contains(element) || there?.closest("label")?.contains(element)
        );
      });
      const rings = [element, element.closest("label"), element.parentElement]
        .filter(Boolean)
        .flatMap((one) => [getComputedStyle(one), getComputedStyle(one, "::after")]);
      return {
        key: `${element.outerHTML.slice(0, 160)} ${Math.round(box.left)},${Math.round(box.top)}`,
        html: element.outerHTML.slice(0, 160),
        shows: rings.some(
          (style) => style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2,
        ),
        seen,
        inside: box.bottom > 0 && box.top < innerHeight,
      };
    });
    if (focus === null) return;
    if (!focus.shows && !/role="combobox"/.test(focus.html))
      problems.push(`${label}: focus does not show: ${focus.html}`);
    if (!focus.inside || !focus.seen) problems.push(`${label}: focus is hidden: ${focus.html}`);
    if (focus.key === last) {
      problems.push(`${label}: focus is held by ${focus.html}`);
      return;
    }
    last = focus.key;
  }
}
