// Starts the window: the program's data, its router, the first paint.

import "./styles.css";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { watchDesktopTheme } from "./appearance";
import { backend } from "./backend";
import { newClient, watchFocus } from "./data/queries";
import { newRouter } from "./router";

watchDesktopTheme();
watchFocus();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(<App client={newClient()} router={newRouter()} />);

// Two frames: the first is drawn, the second says that it has been shown. A hidden window may not get
// frames at all, so that a timer stands behind them.
let shown = false;
function show(): void {
  if (shown) return;
  shown = true;
  backend.windowReady().catch((error: unknown) => console.error(error));
}
requestAnimationFrame(() => requestAnimationFrame(show));
setTimeout(show, 500);
