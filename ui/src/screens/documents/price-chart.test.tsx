import { fireEvent, screen } from "@testing-library/react";
import { expect, it } from "vitest";
import { folderRun, open } from "../../testing/harness";
import { pricesOf } from "./price-chart";

const day = (at: number) => new Date(Date.UTC(2025, 0, 1 + at)).toISOString().slice(0, 10);
const rows = Array.from({ length: 300 }, (_, at) => [
  day(at),
  "1",
  "1",
  "1",
  "99",
  String(10 + at / 10),
  null,
]);
const prices = {
  asked: { from: day(0), to: day(299) },
  columns: ["date", "open", "high", "low", "close", "adjusted_close", "volume"],
  rows,
};

it("draws the prices that a document keeps, and tells that of a day", async () => {
  const seed = folderRun(200);
  const { user } = await open({
    at: "/documents",
    seed: (fake) => {
      seed(fake);
      fake.metadata = { prices };
    },
  });
  await user.click((await screen.findAllByTestId("search-result"))[0] as HTMLElement);
  const chart = await screen.findByRole("img", { name: /^Adjusted closing prices from 2025-02-18 to/ });
  expect(chart).toHaveAccessibleName(/lowest 14.80, highest 39.90, last 39.90/);
  await user.click(screen.getByRole("radio", { name: "All" }));
  expect(chart).toHaveAccessibleName(/lowest 10.00/);
  chart.getBoundingClientRect = () => ({ left: 100, width: 299 }) as DOMRect;
  // jsdom has no pointer events of its own with a place.
  fireEvent(chart, new MouseEvent("pointermove", { bubbles: true, clientX: 110 }));
  expect(screen.getByText("11.00")).toBeVisible();
  expect(screen.getByText(`${day(10)}: +10.0 % since ${day(0)}`)).toBeVisible();
  expect(document.body.textContent).not.toContain('"columns"');
});

it("draws nothing of what is none", () => {
  const none = [null, {}, { prices: 7 }, { prices: { columns: ["date"], rows: [["x"]] } }];
  for (const metadata of none) expect(pricesOf(metadata)).toEqual([]);
  const odd = {
    ...prices,
    rows: [...rows.slice(0, 3), null, ["2026-01-01", "1", "1", "1", "1", "much", null]],
  };
  expect(pricesOf({ prices: odd })).toHaveLength(3);
});
