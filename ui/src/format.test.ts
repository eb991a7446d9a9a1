import { expect, it } from "vitest";
import { bytes, clock, percent, took, when } from "./format";

it.each([
  [0, 0, "0%"],
  [1, 100_000, "1%"],
  [99_999, 100_000, "99%"],
  [100_000, 100_000, "100%"],
  [1, 3, "33%"],
])("%d of %d is %s", (part, whole, expected) => expect(percent(part, whole)).toBe(expected));

it.each([
  [0, "0:00"],
  [42_900, "0:42"],
  [725_000, "12:05"],
  [3_753_000, "1:02:33"],
  [-5, "0:00"],
])("%d ms is %s on the clock", (ms, expected) => expect(clock(ms)).toBe(expected));

it.each([
  [430, "0.4 s"],
  [9_940, "9.9 s"],
  [10_000, "0:10"],
])("%d ms took %s", (ms, expected) => expect(took(ms)).toBe(expected));

it.each([
  [0, "0 byte"],
  [999, "999 byte"],
  [81_920, "81.9 kB"],
  [2_600_000_000, "2.6 GB"],
])("%d bytes are %s", (n, expected) => expect(bytes(n)).toBe(expected));

it("says a day as one speaks of it", () => {
  const now = new Date(2026, 10, 20, 12, 0).getTime();
  const at = (day: number, month = 10) => when(new Date(2026, month, day, 9, 5).toISOString(), now);
  expect(at(20)).toMatch(/^0?9:05/);
  expect(at(19)).toMatch(/^yesterday 0?9:05/);
  expect(at(17)).toMatch(/^Tue 0?9:05/);
  expect(at(3, 8)).toMatch(/2026/);
  expect(when("not a time")).toBe("not a time");
});
