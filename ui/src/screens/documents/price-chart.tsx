// The daily prices that a document keeps, drawn: how they went, and what they were on a day.

import { type PointerEvent, useState } from "react";
import { Segments } from "../../parts/field";
import { text } from "../../text";

type Day = { date: string; price: number };
type Span = "half" | "year" | "all";

/** Trading days of each span. */
const DAYS: Record<Span, number> = { half: 126, year: 252, all: Number.POSITIVE_INFINITY };
/** The drawing's own units. */
const WIDTH = 720;
const HEIGHT = 150;

/** The days of a document's metadata, by adjusted close; none where there are too few to be drawn. */
export function pricesOf(metadata: unknown): Day[] {
  const prices = (metadata as { prices?: { columns?: unknown; rows?: unknown } } | null)?.prices;
  if (!Array.isArray(prices?.columns) || !Array.isArray(prices.rows)) return [];
  const [date, price] = [prices.columns.indexOf("date"), prices.columns.indexOf("adjusted_close")];
  const days = prices.rows.flatMap((row: unknown): Day[] => {
    const at = Array.isArray(row) ? { date: String(row[date]), price: Number(row[price]) } : null;
    return at && Number.isFinite(at.price) ? [at] : [];
  });
  return days.length > 1 ? days : [];
}

export function PriceChart({ days }: { days: Day[] }) {
  const [span, setSpan] = useState<Span>("year");
  const [pointed, setPointed] = useState<number | null>(null);
  const shown = days.slice(-Math.min(DAYS[span], days.length));
  const [first, last] = [shown[0], shown.at(-1)];
  if (!first || !last) return null;
  const prices = shown.map((day) => day.price);
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const x = (at: number) => (at / (shown.length - 1)) * WIDTH;
  // A price that never moves is drawn in the middle.
  const y = (price: number) => (high > low ? ((high - price) / (high - low)) * HEIGHT : HEIGHT / 2);
  const line = shown.map((day, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(day.price).toFixed(1)}`);
  const day = (pointed === null ? undefined : shown[pointed]) ?? last;
  const at = shown.indexOf(day);
  const point = (event: PointerEvent<SVGSVGElement>) => {
    const box = event.currentTarget.getBoundingClientRect();
    const part = (event.clientX - box.left) / Math.max(box.width, 1);
    setPointed(Math.min(Math.max(Math.round(part * (shown.length - 1)), 0), shown.length - 1));
  };
  const change = day.price / first.price - 1;
  return (
    <figure className="mb-6">
      <figcaption className="mb-2 flex flex-wrap items-center gap-x-3 gap-y-1">
        <span className="font-semibold tabular-nums">{text.prices.price(day.price)}</span>
        <span className="text-meta text-muted tabular-nums">
          {text.prices.since(day.date, change, first.date)}
        </span>
        <span className="flex-1" />
        <Segments
          label={text.prices.span}
          value={span}
          options={Object.entries(text.prices.spans) as [Span, string][]}
          onChange={(next) => {
            setSpan(next);
            setPointed(null);
          }}
        />
      </figcaption>
      <svg
        role="img"
        aria-label={text.prices.label(first.date, last.date, low, high, last.price)}
        viewBox={`0 -4 ${WIDTH} ${HEIGHT + 8}`}
        preserveAspectRatio="none"
        className="h-36 w-full border-b border-line"
        onPointerMove={point}
        onPointerLeave={() => setPointed(null)}
      >
        <path
          d={line.join("")}
          fill="none"
          strokeWidth="1.5"
          strokeLinejoin="round"
          vectorEffect="non-scaling-stroke"
          className="stroke-accent"
        />
        {pointed !== null && (
          <line
            x1={x(at)}
            x2={x(at)}
            y1={-4}
            y2={HEIGHT + 4}
            vectorEffect="non-scaling-stroke"
            className="stroke-edge"
          />
        )}
      </svg>
      <div className="mt-1 flex justify-between text-label text-faint tabular-nums" aria-hidden>
        <span>{first.date}</span>
        <span>{text.prices.range(low, high)}</span>
        <span>{last.date}</span>
      </div>
    </figure>
  );
}
