import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";

// Tests read numbers and dates as English writes them, whatever the machine's language.
if (process.env.VITEST) process.env.LC_ALL = "en_US.UTF-8";

// The condition `fake` makes `#platform` the in-memory backend: for `npm run dev`, the tests and
// `vite build --mode fake`. A plain build speaks to the desktop.
export default defineConfig(({ command, mode }) => {
  const fake = mode === "fake" || command === "serve";
  const conditions = fake ? ["fake", ...defaultClientConditions] : defaultClientConditions;
  return {
    base: "./",
    plugins: [react(), tailwindcss()],
    resolve: { conditions: [...conditions] },
    build: {
      outDir: mode === "fake" ? "dist-fake" : "dist",
      emptyOutDir: true,
      // The three engines that Tauri runs on.
      target: ["safari17", "chrome120"],
      // Strict `style-src` and `font-src`: nothing as a data address.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
    },
    server: { host: "127.0.0.1" },
    test: {
      environment: "jsdom",
      setupFiles: ["src/testing/setup.ts"],
      include: ["src/**/*.test.{ts,tsx}"],
      css: false,
      // Generous: a machine that also builds the engine is slow.
      testTimeout: 20_000,
      restoreMocks: true,
    },
  };
});
