// Numbers, dates, durations and sizes in the user's own language.

const numbers = new Intl.NumberFormat();
const percents = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const times = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const days = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
const dates = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export const number = (n: number) => numbers.format(n);

const prices = new Intl.NumberFormat(undefined, { minimumSignificantDigits: 4, maximumSignificantDigits: 5 });
/** A price of any size, as exactly as people look at one. */
export const price = (n: number) => prices.format(n);

/** 1 run, 2 runs. */
export const count = (n: number, one: string, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

/** A share of one, such as the size of the text. */
export const share = (part: number) => percents.format(part);

/** Never 0 % once something is done, never 100 % before everything is. */
export function percent(part: number, whole: number): string {
  if (whole === 0) return percents.format(0);
  const exactly = part / whole;
  if (part > 0 && exactly < 0.01) return percents.format(0.01);
  if (part < whole && exactly > 0.99) return percents.format(0.99);
  return percents.format(exactly);
}

const DAY = 86_400_000;

/** A time as one says it: 14:03, yesterday 14:03, Mon 14:03, 3 Nov 2026. */
export function when(iso: string, now = Date.now()): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const age = Math.round((startOfDay(now) - startOfDay(date.getTime())) / DAY);
  if (age === 0) return times.format(date);
  if (age === 1) return `${relative.format(-1, "day")} ${times.format(date)}`;
  if (age > 1 && age < 7) return days.format(date);
  return dates.format(date);
}

/** A time to come as one says it: today 14:03, tomorrow 07:00, Mon 07:00, 3 Nov 2026. */
export function whenNext(iso: string, now = Date.now()): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const ahead = Math.round((startOfDay(date.getTime()) - startOfDay(now)) / DAY);
  if (ahead < 2) return `${relative.format(ahead, "day")} ${times.format(date)}`;
  return ahead < 7 ? days.format(date) : dates.format(date);
}

function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

export function exactTime(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : exact.format(date);
}

/** 0:42, 12:05, 1:02:33. */
export function clock(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** The time something took, with tenths below ten seconds. */
export function took(ms: number): string {
  return ms < 10_000 ? `${numbers.format(Math.round(ms / 100) / 10)} s` : clock(ms);
}

export function bytes(n: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;
  const power = n < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3));
  return new Intl.NumberFormat(undefined, {
    style: "unit",
    unit: units[power] ?? "byte",
    unitDisplay: "short",
    maximumFractionDigits: power === 0 ? 0 : 1,
  }).format(n / 1000 ** power);
}

/** 14:03:22.120 in local time, for the log. */
export function logTime(iso: string): string {
  const date = new Date(iso);
  if (Number.isNaN(date.getTime())) return iso;
  const two = (n: number, width = 2) => String(n).padStart(width, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${two(date.getMilliseconds(), 3)}`;
}
