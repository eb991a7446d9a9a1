// What jsdom lacks: a layout, and the few interfaces that speak of it.

import "@testing-library/jest-dom/vitest";
import { cleanup, configure } from "@testing-library/react";
import { afterEach, expect, vi } from "vitest";
import { current } from "./current";

vi.mock("#platform", () => ({
  backend: new Proxy({}, { get: (_, key) => Reflect.get(current.backend, key) }),
}));

// A failed look-up says what it looked for, without the whole page.
configure({ getElementError: (message) => new Error(message ?? "not found") });

/** Every scrolling region is 800 by 600. */
Object.defineProperties(Element.prototype, {
  clientWidth: { get: () => 800 },
  clientHeight: { get: () => 600 },
  scrollIntoView: { value: () => {} },
  scrollTo: {
    value(this: Element, options: ScrollToOptions) {
      this.scrollTop = options.top ?? 0;
      this.dispatchEvent(new Event("scroll"));
    },
  },
});

globalThis.ResizeObserver = class {
  observe() {}
  unobserve() {}
  disconnect() {}
};

window.scrollTo = () => {};

window.matchMedia = (query) =>
  ({
    matches: false,
    media: query,
    addEventListener: () => {},
    removeEventListener: () => {},
  }) as unknown as MediaQueryList;

// React complains on the console about what is wrong with a page: no test passes with that.
const complaints: unknown[][] = [];
console.error = (...complaint) => {
  // jsdom does not know this element yet; browsers do.
  if (!String(complaint[0]).includes("is unrecognized in this browser")) complaints.push(complaint);
};

afterEach(() => {
  cleanup();
  localStorage.clear();
  expect(complaints.splice(0)).toEqual([]);
});
